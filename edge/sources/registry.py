"""The input sources: those that ship with Partway and those that other installed packages add."""

from __future__ import annotations

from pathlib import Path

from partway.edge.sources.source import Source
from partway.plugins import Registry

SOURCES: Registry[Source] = Registry("partway.sources", "input source")
FILES = "files"


def source_of(text: str) -> Source:
    """The source of an ``--input``. A beginning takes precedence over a suffix. Text that no source claims is a file.

    Other packages are searched only if no source of Partway matches, because that search is slow on a device.
    """
    own = sorted((SOURCES.get(name) for name in SOURCES.own_names()), key=lambda source: not source.by_beginning)
    found = next((source for source in own if source.matches(text)), None)
    if found is not None:
        return found
    if not Path(text).is_dir():
        found = next((source for source in SOURCES if source.matches(text)), None)
    return found or SOURCES.get(FILES)
