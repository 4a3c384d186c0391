"""Reads IDX files, the format MNIST is published in: a magic number, big-endian dimensions, the raw array.

Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from partway.errors import InputError

Array = np.ndarray[Any, Any]

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Element type by the third byte of the magic number."""

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DIMENSIONS = 8
_PIECE_BYTES = 1 << 20


def read_idx(path: Path | str) -> Array:
    """The array in an IDX file, plain or gzipped: a fresh one, in this machine's byte order.

    Raises InputError when the file cannot be read, is no IDX file, or is not as long as its header says.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            return _read(file, path)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {path}: {reason}; check the path or copy the file again") from error


def is_idx(path: Path | str) -> bool:
    """Whether a file begins like an IDX file, also inside gzip. False for what is missing or unreadable."""
    try:
        with _opened(Path(path)) as file:
            return _is_magic(file.read(4))
    except (OSError, EOFError, zlib.error):
        return False


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path, "rb")) if zipped else path.open("rb")


def _is_magic(magic: bytes) -> bool:
    if len(magic) != 4 or magic[:2] != b"\0\0":
        return False
    return magic[2] in DTYPES and 1 <= magic[3] <= _MAX_DIMENSIONS


def _read(file: IO[bytes], path: Path) -> Array:
    magic = file.read(4)
    if not _is_magic(magic):
        found = magic.hex() or "nothing"
        raise InputError(f"{path} is not an IDX file (it begins with {found}); check the path")
    dtype, dimensions = np.dtype(DTYPES[magic[2]]), magic[3]
    header = file.read(4 * dimensions)
    if len(header) != 4 * dimensions:
        raise InputError(f"{path} ends within its header; download or copy it again")
    shape = struct.unpack(f">{dimensions}I", header)
    if 0 in shape:
        raise InputError(f"{path} holds no data: its header says {shape}; check the path")
    body = _body(file, math.prod(shape) * dtype.itemsize, path)
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _body(file: IO[bytes], expected_bytes: int, path: Path) -> bytes:
    """Exactly the bytes the header announces, read piece by piece: a lying header must not reserve memory."""
    body = bytearray()
    while piece := file.read(_PIECE_BYTES):
        body += piece
        if len(body) > expected_bytes:
            break
    if len(body) != expected_bytes:
        found = f"{len(body)} bytes" if len(body) < expected_bytes else "more"
        raise InputError(
            f"{path} does not hold what its header says ({expected_bytes} bytes of data, found {found}); "
            "download or copy it again"
        )
    return bytes(body)
