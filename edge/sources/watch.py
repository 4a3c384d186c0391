"""``--input watch:DIR``: pictures as they are put into a folder, each once it is whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from partway.edge.sources.files import PICTURES, Item, Sample, picture_reader
from partway.edge.sources.source import Source
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.system.files import unreadable

WATCH = "watch:"
POLL_S = 0.1
SETTLED_S = 0.3
"""A picture that has not changed for so long is whole; one that was renamed into the folder always was."""

Seen = tuple[int, int]


def watched_folder(given: str) -> Path:
    """The folder. Raises InputError when it is none that can be listed."""
    folder = Path(given.removeprefix(WATCH))
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise InputError(f"watched folder {unreadable(folder, error)}; make it, or give another") from error
    return folder


def watch_items(given: str, plan: Plan, read: Callable[[Path], Sample]) -> Iterator[Item]:
    """Items without end, whose ``read`` waits for the next picture: those that are there first, then those that come.

    A picture is taken again when its file has changed. Hidden files (``.name``) are left alone.
    """
    pictures = _pictures(watched_folder(given))
    while True:
        yield Item(given, partial(_next, pictures, read), late=True)


def _next(pictures: Iterator[Path], read: Callable[[Path], Sample]) -> Sample:
    return replace(read(next(pictures)), live=True)


def _pictures(folder: Path) -> Iterator[Path]:
    seen: dict[Path, Seen] = {}
    while True:
        there = _listed(folder)
        seen = {path: state for path, state in seen.items() if path in there}
        for path, state in sorted(there.items(), key=lambda entry: (entry[1], entry[0])):
            if seen.get(path) != state and time.time_ns() - state[0] > SETTLED_S * 1e9:
                seen[path] = state
                yield path
        time.sleep(POLL_S)


def _listed(folder: Path) -> dict[Path, Seen]:
    """Pictures with the moment they were changed last (ns) and their size."""
    found = {}
    try:
        for path in folder.iterdir():
            if path.suffix.lower() in PICTURES and not path.name.startswith("."):
                try:
                    stat = path.stat()
                except OSError:
                    continue  # gone, or not whole yet
                found[path] = (stat.st_mtime_ns, stat.st_size)
    except OSError:
        return {}  # a folder on a stick or share that is away for a moment
    return found


def open_watch(given: str, plan: Plan) -> Iterator[Item]:
    """The pictures of a watched folder. Raises InputError at once where it cannot be listed."""
    watched_folder(given)
    return watch_items(given, plan, picture_reader(plan))


WATCHED = Source(open_watch, prefix=WATCH, endless=True)
