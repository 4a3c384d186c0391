"""Hides the credentials in this process's arguments from ``ps`` and ``/proc``, which show them to every user."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CREDENTIALS = re.compile(rb"(?<=://)[^\0]*(?=@)|(?<=[?&;/])([^=&;\0/]+)=([^&;\0#/]+)")
ARG_START, ARG_END = 47, 48
"""Fields of /proc/self/stat, counted from 0 (proc_pid_stat(5))."""


def hide_in_process_list() -> None:
    """Overwrite user, password and settings of addresses in the arguments. Where the system refuses, they stay."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        start, end = (int(fields[place - 2]) for place in (ARG_START, ARG_END))
        with open("/proc/self/mem", "r+b", buffering=0) as memory:  # noqa: PTH123 - not a path
            memory.seek(start)
            arguments = memory.read(end - start)
            hidden = b"\0".join(map(_hidden, arguments.split(b"\0")))
            if hidden != arguments:
                os.pwrite(memory.fileno(), hidden, start)
    except (OSError, ValueError, IndexError):
        return


def _hidden(argument: bytes) -> bytes:
    """The argument, with stars for each byte that may be secret; its length stays."""
    return _CREDENTIALS.sub(_stars, argument) if b"://" in argument else argument


def _stars(match: re.Match[bytes]) -> bytes:
    if match[1] is None:
        return b"*" * len(match[0])
    return match[1] + b"=" + b"*" * len(match[2])
