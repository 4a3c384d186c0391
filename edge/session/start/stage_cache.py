"""Stage files fetched from a cloud, kept by digest so that the next start needs no download."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from partway.errors import InputError
from partway.partitioner.plan.plan import Stage, StageFile
from partway.partitioner.plan.stage_files import map_file, map_open_file
from partway.system.cache_dir import default_cache
from partway.system.files import unreadable
from partway.units import show_bytes

log = logging.getLogger("partway.edge")

FetchInto = Callable[[str, BinaryIO, int], None]
"""Appends what is missing of the file with this digest, in all at most so many bytes."""


class StageCache:
    """A folder of stage files named by their SHA-256; without a folder (None) it keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, stage: Stage, fetch: Callable[[str], bytes]) -> bytes:
        """The stage's bytes, from the folder or else by ``fetch(digest)``; a damaged file is fetched again.

        Raises InputError when what was fetched is not what the digest promises.
        """
        kept = self._kept(stage)
        if kept is not None:
            return kept
        data = fetch(stage.digest)
        if hashlib.sha256(data).hexdigest() != stage.digest:
            raise InputError(
                f"the cloud sent a {stage.file} that does not match its digest; check the cloud's model files"
            )
        self._keep(stage.digest, data)
        return data

    def data(self, stage: Stage, fetch_into: FetchInto) -> mmap.mmap:
        """The bytes of the stage's data file, mapped: from the folder, or else fetched straight to disk.

        A download that broke off is taken up where it ended, by a later start too. Raises InputError when there is no
        room for the file, or what was fetched is not what the digest promises.
        """
        wanted = stage.data
        if wanted is None:
            raise InputError(f"{stage.file} has no data file in its plan; check the cloud's model files")
        try:
            return self._data(wanted, fetch_into)
        except OSError as error:
            where = self.folder or Path(tempfile.gettempdir())
            raise InputError(
                f"{wanted.file} ({show_bytes(wanted.size_bytes)}) cannot be kept in {where} ({error.strerror}); make"
                " room or give another folder with --cache"
            ) from error

    def _data(self, wanted: StageFile, fetch_into: FetchInto) -> mmap.mmap:
        if self.folder is None:
            with tempfile.TemporaryFile() as part:
                return _fetched(part, wanted, fetch_into)
        path = self.folder / wanted.digest
        if (kept := _mapped(path, wanted)) is not None:
            return kept
        with (self.folder / f".part-{wanted.digest}").open("ab+") as part:
            fcntl.flock(part, fcntl.LOCK_EX)  # another start may be fetching the same file
            if (kept := _mapped(path, wanted)) is None:
                kept = _fetched(part, wanted, fetch_into)
                Path(part.name).replace(path)
            return kept

    def _kept(self, stage: Stage) -> bytes | None:
        if self.folder is None:
            return None
        path = self.folder / stage.digest
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == stage.digest:
            return data
        log.warning("cached %s is damaged; fetching it again", path)
        return None

    def _keep(self, digest: str, data: bytes) -> None:
        if self.folder is None:
            return
        try:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".part-") as part:
                whole = Path(part, digest)
                whole.write_bytes(data)
                whole.replace(self.folder / digest)
        except OSError as error:
            log.warning(
                "cannot keep stages in %s (%s); they will be fetched again next time", self.folder, error.strerror
            )


def _mapped(path: Path, wanted: StageFile) -> mmap.mmap | None:
    try:
        mapped = map_file(path, wanted)
    except FileNotFoundError:
        return None
    if mapped is None:
        log.warning("cached %s is damaged; fetching it again", path)
    return mapped


def _fetched(part: BinaryIO, wanted: StageFile, fetch_into: FetchInto) -> mmap.mmap:
    """The rest of a partial download; all of it anew if what was there before turns out to be damaged."""
    begun = part.seek(0, os.SEEK_END)
    if begun > wanted.size_bytes:
        begun = part.truncate(0)
    for again in (False, True):
        if again:
            part.truncate(0)
        fetch_into(wanted.digest, part, wanted.size_bytes)
        part.flush()
        if (mapped := map_open_file(part.fileno(), wanted)) is not None:
            return mapped
        if not begun:
            break
    part.truncate(0)
    raise InputError(f"the cloud sent a {wanted.file} that does not match its digest; check the cloud's model files")


def open_cache(folder: Path | None) -> StageCache:
    """The cache in ``folder``, made if it is missing. Raises InputError when one that was asked for cannot be written.

    The default folder may be unusable (read-only home): then a warning is logged and nothing is kept.
    """
    asked = folder is not None
    folder = folder or default_cache()
    if folder is None:
        log.warning("there is no home to keep stages in; they are kept in memory only (give a folder with --cache)")
        return StageCache(None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if asked:
            raise InputError(f"cache folder {unreadable(folder, error, 'write')}; give another with --cache") from error
        log.warning("cache folder %s; fetched stages are kept in memory only", unreadable(folder, error, "write"))
        return StageCache(None)
    return StageCache(folder)
