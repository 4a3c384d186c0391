"""``--input watch:DIR``: pictures as they appear in a folder, each once it is completely written."""

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
"""A picture that has not changed for this long counts as completely written."""

FileState = tuple[int, int]


def watched_folder(text: str) -> Path:
    """The folder. Raises InputError if it cannot be listed."""
    folder = Path(text.removeprefix(WATCH))
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise InputError(f"watched folder {unreadable(folder, error)}; make it, or give another") from error
    return folder


def watch_items(text: str, plan: Plan, read: Callable[[Path], Sample]) -> Iterator[Item]:
    """Yield items without end. Their ``read`` waits for the next picture: first those present, then new ones.

    A picture is read again if its file changes. Hidden files (``.name``) are ignored.
    """
    pictures = _pictures(watched_folder(text))
    while True:
        yield Item(text, partial(_next, pictures, read), late=True)


def _next(pictures: Iterator[Path], read: Callable[[Path], Sample]) -> Sample:
    return replace(read(next(pictures)), live=True)


def _pictures(folder: Path) -> Iterator[Path]:
    yielded: dict[Path, FileState] = {}
    while True:
        present = _listed(folder)
        yielded = {path: state for path, state in yielded.items() if path in present}
        for path, state in sorted(present.items(), key=lambda entry: (entry[1], entry[0])):
            if yielded.get(path) != state and time.time_ns() - state[0] > SETTLED_S * 1e9:
                yielded[path] = state
                yield path
        time.sleep(POLL_S)


def _listed(folder: Path) -> dict[Path, FileState]:
    """Pictures with the time of their last change (ns) and their size."""
    found = {}
    try:
        for path in folder.iterdir():
            if path.suffix.lower() in PICTURES and not path.name.startswith("."):
                try:
                    stat = path.stat()
                except OSError:
                    continue  # removed meanwhile, or not complete yet
                found[path] = (stat.st_mtime_ns, stat.st_size)
    except OSError:
        return {}  # a folder on a stick or share may be missing for a moment
    return found


def open_watch(text: str, plan: Plan) -> Iterator[Item]:
    """The pictures of a watched folder. Raises InputError at once if it cannot be listed."""
    watched_folder(text)
    return watch_items(text, plan, picture_reader(plan))


WATCHED = Source(open_watch, prefix=WATCH, endless=True)
