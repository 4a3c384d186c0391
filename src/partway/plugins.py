"""Extension points: what installed packages offer under an entry-point group, found by name and imported when used.

What ships with Partway is registered the same way, in ``pyproject.toml``. Its own names win: another package cannot
replace them. See https://packaging.python.org/en/latest/specifications/entry-points/.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from partway.errors import InputError, MissingPackage, PartwayError

T = TypeVar("T")
OWN = "partway"
log = logging.getLogger("partway")


def did_you_mean(name: str, known: Collection[str]) -> str:
    """``; did you mean 'latency'?`` where something known is close to ``name``, else nothing."""
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry point: ``value`` is ``module`` or ``module:object``, ``origin`` the package that brings it."""

    group: str
    name: str
    value: str
    origin: str

    def load(self) -> Any:
        """The module or the object, imported."""
        module, _, path = self.value.partition("[")[0].partition(":")  # extras in brackets ask for nothing here
        found: Any = import_module(module.strip())
        for name in filter(None, path.strip().split(".")):
            found = getattr(found, name)
        return found


class Registry(Generic[T]):
    """The entries of one group, for example ``Registry[Codec]("partway.codecs", "codec")``.

    ``kind`` is what a user calls one of them. Other packages are searched only when a name is not Partway's own, or
    when all names are wanted: on a small device the search takes longer than the import.
    """

    def __init__(self, group: str, kind: str) -> None:
        self.group, self.kind = group, kind
        self._loaded: dict[str, T] = {}

    @cached_property
    def _own(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in _shipped() if entry.group == self.group}

    @cached_property
    def _all(self) -> dict[str, Entry]:
        found = dict(self._own)
        for entry in _installed(tuple(sys.path)):
            if entry.group == self.group and found.setdefault(entry.name, entry).value != entry.value:
                log.warning(
                    "the %s %r of %s is ignored, the name is taken by %s",
                    *(self.kind, entry.name, entry.origin, found[entry.name].origin),
                )
        return found

    def names(self) -> list[str]:
        """Every name, Partway's own first."""
        return list(self._all)

    def own_names(self) -> list[str]:
        """The names that ship with Partway."""
        return list(self._own)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._all

    def get(self, name: str) -> T:
        """The entry, imported. Raises InputError for an unknown name, or where another package's entry fails."""
        if name not in self._loaded:
            entry = self._own.get(name) or self._all.get(name)
            if entry is None:
                known = self.names()
                raise InputError(
                    f"unknown {self.kind} {name!r}{did_you_mean(name, known) or ';'} known: {', '.join(known)}"
                )
            self._loaded[name] = self._load(entry)
        return self._loaded[name]

    def __iter__(self) -> Iterator[T]:
        """Every entry, imported. Another package's entry that cannot be imported is left out with a warning."""
        for name in self._all:
            try:
                yield self.get(name)
            except InputError as error:
                if name in self._own:
                    raise
                log.warning("%s", error)

    def _load(self, entry: Entry) -> T:
        try:
            loaded: T = entry.load()
        except PartwayError:
            raise
        except Exception as error:  # whatever another package does while it is imported
            if entry.name in self._own:
                raise
            raise InputError(
                f"the {self.kind} {entry.name!r} of {entry.origin} cannot be loaded"
                f" ({type(error).__name__}: {error}); mend or uninstall that package"
            ) from error
        return loaded


@cache
def _shipped() -> tuple[Entry, ...]:
    """What Partway itself registers; read once for all registries, from the metadata that pip installed."""
    for folder in sys.path:
        for file in sorted(Path(folder or ".").glob(f"{OWN}-*.dist-info/entry_points.txt")):
            return tuple(_entries(file.read_text(encoding="utf-8"), OWN))
    raise MissingPackage("partway is not installed; run `pip install .` in its folder")


@cache
def _installed(folders: tuple[str, ...]) -> tuple[Entry, ...]:
    """What all packages in these folders register for Partway.

    It reads their files itself: importlib.metadata costs a device 2 MB of memory.
    """
    found: dict[str, tuple[Entry, ...]] = {}
    for folder in folders:
        for file in sorted(Path(folder or ".").glob("*.*-info/entry_points.txt")):
            package = file.parent.name.partition("-")[0].removesuffix(".egg")
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:  # a package that this user may not read offers nothing
                continue
            if package not in found and "[partway." in text:
                found[package] = tuple(_entries(text, package))
    return tuple(entry for entries in found.values() for entry in entries)


def _entries(text: str, package: str) -> Iterator[Entry]:
    """The lines ``name = value`` of an entry_points.txt, below the ``[group]`` they are in."""
    group = ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]")
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield Entry(group, name.strip(), value.strip(), package)
