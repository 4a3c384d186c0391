"""The second file of a stage, weights of more than 2 GB: mapped into memory, checked, never copied."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
from pathlib import Path

from partway.errors import InputError
from partway.partitioner.plan.plan import Stage, StageFile

HASH_BYTES = 1 << 22


def open_data(folder: Path, stage: Stage) -> mmap.mmap:
    """The data file of a stage in a plan's folder, checked against its digest.

    Raises InputError when it is missing, is no plain file (a symbolic link, say) or has changed, or the stage has none.
    """
    if stage.data is None:
        raise InputError(f"{stage.file} has no data file in its plan; slice the model again")
    path = folder / stage.data.file
    try:
        data = map_file(path, stage.data)
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise InputError(f"data file {path} cannot be read ({why}); slice the model again") from error
    if data is None:
        raise InputError(f"data file {path} is not the one the plan names (digest differs); slice the model again")
    return data


def map_file(path: Path, data: StageFile) -> mmap.mmap | None:
    """The bytes of a file, read-only, or None when they are not those that ``data`` announces. Raises OSError.

    A symbolic link is not followed. The file is opened once, so the checked bytes are the bytes used.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return map_open_file(handle, data)
    finally:
        os.close(handle)


def map_open_file(handle: int, data: StageFile) -> mmap.mmap | None:
    """The same for a file that is open already."""
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
    if about.st_size != data.size_bytes or not data.size_bytes:
        return None
    if _sha256(handle) != data.digest:
        return None
    return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)


def _sha256(handle: int) -> str:
    """Reads instead of mapping, because touched pages would count as this process's memory."""
    digest, at = hashlib.sha256(), 0
    while chunk := os.pread(handle, HASH_BYTES, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
