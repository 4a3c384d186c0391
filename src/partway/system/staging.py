"""Replaces files of a folder all together or not at all: they are written to a hidden folder inside it first."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from partway.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Stale = Callable[[Path], Iterable[str]]


@contextmanager
def staged(out: Path, last: str = "", stale: Stale = lambda _: ()) -> Iterator[Path]:
    """A hidden folder in ``out`` whose files move to ``out`` when the block ends; after an error ``out`` is as before.

    ``out`` is made if it is missing, and removed again after an error. ``last`` names the file that moves last, the one
    that readers look for. ``stale`` gets the hidden folder at the end and names files of ``out`` to remove. Inside
    ``out``, because that is one file system even where ``out`` is a mount. Raises InputError when ``out`` cannot be
    written or the disk is full.
    """
    made = _make(out)
    try:
        part = _hidden(out)
        try:
            yield part
            _move(part, out, last, stale(part))
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except BaseException as error:
        _unmake(made)
        if isinstance(error, OSError) and error.errno in FULL:
            raise InputError(
                f"{out} cannot be written ({error.strerror}); free some space or give another --out"
            ) from error
        raise


def _make(out: Path) -> list[Path]:
    """Make a folder. Returns those that were missing, the innermost first."""
    missing = [path for path in (out, *out.parents) if not path.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _unmake(missing)
        raise InputError(f"{out} cannot be made ({error.strerror}); give another --out") from error
    return missing


def _unmake(made: Iterable[Path]) -> None:
    for path in made:
        with suppress(OSError):  # it is missing, or someone else has put a file there
            path.rmdir()


def _hidden(out: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(dir=out, prefix=".part-"))
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}); give another --out") from error


def _move(part: Path, out: Path, last: str, stale: Iterable[str]) -> None:
    names = sorted((path.name for path in part.iterdir()), key=lambda name: (name == last, name))
    gone = [name for name in stale if (out / name).is_file() and name not in names]
    before = part / ".before"
    before.mkdir()
    try:
        for name in (*names, *gone):
            if (out / name).exists():
                _set_aside(out / name, before / name)
        for name in names:
            (part / name).replace(out / name)
        for name in gone:
            (out / name).unlink(missing_ok=True)
    except BaseException:
        for name in names:
            (out / name).unlink(missing_ok=True)
        for old in before.iterdir():
            old.replace(out / old.name)
        raise


def _set_aside(file: Path, copy: Path) -> None:
    """A second name for a file, so that it is there until it is replaced; moved where there are no hard links."""
    try:
        os.link(file, copy)
    except OSError:
        file.replace(copy)
