"""Writes files completely or not at all: under another name first, then moved into place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from partway.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Write or replace a file, and make its folder if it is missing. Raises InputError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
            temporary = Path(part.name)
            try:
                _fill_and_move(part.fileno(), content, temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write {path}: {reason}; choose a folder you may write to") from error


def _fill_and_move(descriptor: int, content: bytes, temporary: Path, path: Path) -> None:
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(path)
