"""Stage files fetched from a cloud, stored by digest so that the next start needs no download."""

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
"""Appends the missing rest of the file with this digest; the integer limits the file's total bytes."""


class StageCache:
    """A folder of stage files named by their SHA-256; without a folder (None) it stores nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, stage: Stage, fetch: Callable[[str], bytes]) -> bytes:
        """The stage's bytes, from the folder or else by ``fetch(digest)``; a damaged file is fetched again.

        Raises InputError if the fetched bytes do not match the digest.
        """
        cached = self._cached(stage)
        if cached is not None:
            return cached
        data = fetch(stage.digest)
        if hashlib.sha256(data).hexdigest() != stage.digest:
            raise InputError(
                f"the cloud sent a {stage.file} that does not match its digest; check the cloud's model files"
            )
        self._store(stage.digest, data)
        return data

    def data(self, stage: Stage, fetch_into: FetchInto) -> mmap.mmap:
        """The bytes of the stage's data file, mapped: from the folder, or else fetched straight to disk.

        A download that broke off is resumed, also by a later start. Raises InputError if there is no room for the file
        or the fetched bytes do not match the digest.
        """
        file = stage.data
        if file is None:
            raise InputError(f"{stage.file} has no data file in its plan; check the cloud's model files")
        try:
            return self._map_or_fetch(file, fetch_into)
        except OSError as error:
            where = self.folder or Path(tempfile.gettempdir())
            raise InputError(
                f"{file.file} ({show_bytes(file.size_bytes)}) cannot be stored in {where} ({error.strerror}); make"
                " room or give another folder with --cache"
            ) from error

    def _map_or_fetch(self, file: StageFile, fetch_into: FetchInto) -> mmap.mmap:
        if self.folder is None:
            with tempfile.TemporaryFile() as part:
                return _fetch_rest(part, file, fetch_into)
        path = self.folder / file.digest
        if (content := _map_cached(path, file)) is not None:
            return content
        with (self.folder / f".part-{file.digest}").open("ab+") as part:
            fcntl.flock(part, fcntl.LOCK_EX)  # another start may be fetching the same file
            if (content := _map_cached(path, file)) is None:
                content = _fetch_rest(part, file, fetch_into)
                Path(part.name).replace(path)
            return content

    def _cached(self, stage: Stage) -> bytes | None:
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

    def _store(self, digest: str, data: bytes) -> None:
        if self.folder is None:
            return
        try:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".part-") as part:
                whole = Path(part, digest)
                whole.write_bytes(data)
                whole.replace(self.folder / digest)
        except OSError as error:
            log.warning(
                "cannot store stages in %s (%s); they will be fetched again next time", self.folder, error.strerror
            )


def _map_cached(path: Path, file: StageFile) -> mmap.mmap | None:
    try:
        mapped = map_file(path, file)
    except FileNotFoundError:
        return None
    if mapped is None:
        log.warning("cached %s is damaged; fetching it again", path)
    return mapped


def _fetch_rest(part: BinaryIO, file: StageFile, fetch_into: FetchInto) -> mmap.mmap:
    """Fetch the rest of a partial download, or the whole file again if the earlier part is damaged."""
    begun = part.seek(0, os.SEEK_END)
    if begun > file.size_bytes:
        begun = part.truncate(0)
    for again in (False, True):
        if again:
            part.truncate(0)
        fetch_into(file.digest, part, file.size_bytes)
        part.flush()
        if (mapped := map_open_file(part.fileno(), file)) is not None:
            return mapped
        if not begun:
            break
    part.truncate(0)
    raise InputError(f"the cloud sent a {file.file} that does not match its digest; check the cloud's model files")


def open_cache(folder: Path | None) -> StageCache:
    """The cache in ``folder``, made if it is missing. Raises InputError when one that the user named cannot be written.

    The default folder may be unusable (read-only home): then it logs a warning and stores nothing.
    """
    requested = folder is not None
    folder = folder or default_cache()
    if folder is None:
        log.warning("this user has no home folder; fetched stages are kept in memory only (give a folder with --cache)")
        return StageCache(None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if requested:
            raise InputError(f"cache folder {unreadable(folder, error, 'write')}; give another with --cache") from error
        log.warning("cache folder %s; fetched stages are kept in memory only", unreadable(folder, error, "write"))
        return StageCache(None)
    return StageCache(folder)
