"""Sentences about files that cannot be read or written: who this process is, and whose the file is.

In a container or under systemd that is the whole question, and neither is seen from outside.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def in_memory(name: str) -> BinaryIO:
    """An open file that lies in no folder: a read-only file system has no room for a temporary one."""
    return os.fdopen(os.memfd_create(name), "w+b")


def unreadable(path: Path, error: OSError, may: str = "read") -> str:
    """``PATH cannot be read (why): this process runs as uid U, …``: who this is, and whose the path is.

    What is missing, or a folder on the way that may not be entered, is named as well as can be seen from here.
    """
    why = (error.strerror or type(error).__name__).lower()
    past = {"read": "read", "write": "written"}[may]
    return f"{path} cannot be {past} ({why}): this process runs as uid {os.geteuid()}, {described(path)}"


def described(path: Path) -> str:
    """Whose a path is and its mode; of one that is missing or hidden, those of the last folder that can be seen."""
    for place in (path, *path.absolute().parents):
        try:
            seen = place.stat()
        except OSError:
            continue
        name = "it" if place == path else f"{place} (the last folder on the way that can be seen)"
        return f"{name} belongs to uid {seen.st_uid}, gid {seen.st_gid}, with mode {stat.S_IMODE(seen.st_mode):04o}"
    return "nothing on the way to it can be seen"
