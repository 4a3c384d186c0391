"""``--input watch:DIR``: pictures as they appear in a folder, each once it is completely written.

A picture is complete when its state stays the same for a while by this process's own clock. File times only order
pictures: the clock of a camera, a share or this machine may be wrong.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from partway.edge.sources.files import PICTURES, Item, Sample, picture_reader
from partway.edge.sources.shipped import WATCH
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.system.files import unreadable

log = logging.getLogger("partway.edge")
DEEP = "/**"
"""At the end of the folder: its subfolders are watched, too."""
POLL_S = 0.1
IDLE_SHARE = 20
"""The pause between two looks is at least this many times as long as a look: thousands of files cost 5 % of a core."""
SETTLED_S = 0.3
"""A picture that has not changed for this long counts as completely written."""
PARTIAL = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download")
"""Suffixes of files that are renamed when they are complete; nothing is said about them."""

FileState = tuple[int, int, int]
"""Time of the last change in ns, size in bytes, inode."""
Identity = tuple[int, int]
"""Device and inode of the watched folder: another one after a stick was changed."""


def watched_folder(text: str) -> Path:
    """The folder. Raises InputError if it cannot be listed."""
    folder = Path(text.removeprefix(WATCH).removesuffix(DEEP))
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise InputError(f"watched folder {unreadable(folder, error)}; make it, or give another") from error
    return folder


def watch_items(text: str, plan: Plan, read: Callable[[Path], Sample]) -> Iterator[Item]:
    """Yield items without end. Their ``read`` waits for the next picture: first those present, then new ones.

    A picture is read again if its file changes. Hidden files (``.name``) are ignored.
    """
    folder = watched_folder(text)
    pictures = _pictures(Watched(folder, text.endswith(DEEP)))
    while True:
        yield Item(text, partial(_next, pictures, read, folder), late=True)


def _next(pictures: Iterator[Path], read: Callable[[Path], Sample], folder: Path) -> Sample:
    while True:
        path = next(pictures)
        try:
            sample = read(path)
        except InputError:
            if path.exists():
                raise
            log.warning("%s was removed while it was read", path)
        else:
            return replace(sample, name=str(path.relative_to(folder)), live=True)


def _pictures(watched: Watched) -> Iterator[Path]:
    while True:
        begun_s = time.monotonic()
        for path, state in watched.settled(begun_s):
            if _state(path) == state:  # else it was removed, or is written again, since the look
                watched.yielded[path] = state, watched.identity
                yield path
        time.sleep(max(POLL_S, IDLE_SHARE * watched.look_s))


@dataclass(slots=True)
class Watched:
    """What is known of a watched folder. ``yielded``: the state of each taken picture, and the folder it was in.

    ``seen``: since when each file has its state, in seconds of the monotonic clock. ``look_s``: of the last look.
    """

    folder: Path
    deep: bool = False
    identity: Identity = (0, 0)
    yielded: dict[Path, tuple[FileState, Identity]] = field(default_factory=dict)
    seen: dict[Path, tuple[FileState, float]] = field(default_factory=dict)
    look_s: float = 0.0
    _away: bool = False
    _told: set[str] = field(default_factory=set)

    def settled(self, now_s: float) -> list[tuple[Path, FileState]]:
        """Pictures to take now, oldest change first. Looks at the folder; one that is away for a while has none."""
        begun_s = time.perf_counter()
        try:
            status = self.folder.stat()
            present = dict(self._listed(self.folder))
        except OSError as error:
            if not self._away:
                log.warning("watched folder %s is away (%s); waiting for it", self.folder, error.strerror)
            self._away = True
            return []
        self._note_folder((status.st_dev, status.st_ino), present)
        self.seen = {
            path: (state, self.seen[path][1] if self.seen.get(path, (None,))[0] == state else now_s)
            for path, state in present.items()
        }
        self.look_s = time.perf_counter() - begun_s
        ready = [
            (path, state)
            for path, (state, since_s) in self.seen.items()
            if now_s - since_s >= SETTLED_S and self.yielded.get(path, (None,))[0] != state
        ]
        return sorted(ready, key=lambda entry: (entry[1][0], entry[0]))

    def _note_folder(self, identity: Identity, present: dict[Path, FileState]) -> None:
        """Forget removed files, unless the folder is another one: then the old one may come back."""
        if self._away:
            log.warning("watched folder %s is back", self.folder)
        if self._away or identity != self.identity:
            for path, (state, _) in list(self.yielded.items()):
                if (now := present.get(path)) is not None and now[:2] == state[:2]:
                    self.yielded[path] = now, identity  # a file system that is mounted again may number files anew
        self._away, self.identity = False, identity
        self.yielded = {path: entry for path, entry in self.yielded.items() if path in present or entry[1] != identity}

    def _listed(self, folder: Path) -> Iterator[tuple[Path, FileState]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from self._subfolder(Path(entry.path))
                elif os.path.splitext(entry.name)[1].lower() in PICTURES:  # noqa: PTH122 - thousands of names
                    path = Path(entry.path)
                    if (state := _state(path)) is not None:
                        yield path, state
                else:
                    self._tell_other(Path(entry.path))

    def _subfolder(self, folder: Path) -> Iterator[tuple[Path, FileState]]:
        if not self.deep:
            self._tell("folder", f"{folder} is not watched; give {WATCH}{self.folder}{DEEP} to watch subfolders")
            return
        if folder.is_symlink():  # it may lead back up
            self._tell("link", f"{folder} is a link to a folder and is not watched")
            return
        try:
            found = list(self._listed(folder))
        except OSError as error:
            self._tell(str(folder), f"{folder} cannot be listed ({error.strerror}) and is not watched for now")
            return
        yield from found

    def _tell_other(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix not in PARTIAL and not path.name.endswith("~"):
            what = f"pictures end in {', '.join(PICTURES)}"
            self._tell(suffix, f"{path} is ignored, and so are others of its kind: {what}")

    def _tell(self, kind: str, sentence: str) -> None:
        """Log a warning, once for each kind."""
        if kind not in self._told:
            self._told.add(kind)
            log.warning("%s", sentence)


def _state(path: Path) -> FileState | None:
    """The state of a file; None if it was removed, or is a device or a pipe."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def open_watch(text: str, plan: Plan) -> Iterator[Item]:
    """The pictures of a watched folder. Raises InputError at once if it cannot be listed."""
    watched_folder(text)
    return watch_items(text, plan, picture_reader(plan))
