"""Error sentences for files that cannot be read or written: the user of this process, and the file's owner.

In a container or under systemd, these two decide access, and neither is visible from outside.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def in_memory(name: str) -> BinaryIO:
    """An open file in memory, because a read-only file system cannot hold a temporary file."""
    return os.fdopen(os.memfd_create(name), "w+b")


def unreadable(path: Path, error: OSError, may: str = "read") -> str:
    """``PATH cannot be read (why): this process runs as uid U, …``, with the path's owner and mode.

    For a missing or hidden path, it describes the last folder on the way that is visible.
    """
    why = (error.strerror or type(error).__name__).lower()
    past = {"read": "read", "write": "written"}[may]
    return f"{path} cannot be {past} ({why}): this process runs as uid {os.geteuid()}, {described(path)}"


def described(path: Path) -> str:
    """Owner and mode of a path; for a missing or hidden one, those of the last visible folder on the way."""
    for place in (path, *path.absolute().parents):
        try:
            status = place.stat()
        except OSError:
            continue
        name = "it" if place == path else f"{place} (the last folder on the way that can be seen)"
        return (
            f"{name} belongs to uid {status.st_uid}, gid {status.st_gid}, with mode {stat.S_IMODE(status.st_mode):04o}"
        )
    return "nothing on the way to it can be seen"
