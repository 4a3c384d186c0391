"""Frames from standard input: raw uint8 pictures of one shape, back to back, or one .npy after another."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from partway.edge.sources.files import Item, Sample, timed
from partway.edge.sources.samples import sample_of_array
from partway.errors import InputError, mapped
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess

Array = np.ndarray[Any, Any]
MOST_BYTES = 1 << 28
"""Limit of one frame: larger than any picture, small enough for the memory of a small device."""
_SHAPE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})(?:x([134]))?")


def parse_shape(text: str) -> tuple[int, ...]:
    """(height, width) or (height, width, channels) of ``480x640x3``. Raises InputError."""
    match = _SHAPE.fullmatch(text)
    shape = tuple(int(side) for side in match.groups() if side is not None) if match else ()
    if not shape or not 0 < math.prod(shape) <= MOST_BYTES:
        raise InputError(
            f"--stdin-shape {text!r} is not HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS (1, 3 or 4), for example 480x640x3"
        )
    return shape


def stdin_items(stream: BinaryIO, plan: Plan, shape: tuple[int, ...] | None) -> Iterator[Item]:
    """Yield frames until the stream ends: raw uint8 of ``shape`` (RGB), or .npy after .npy if ``shape`` is None.

    A truncated or invalid frame becomes a last item, whose ``read`` raises the error.
    """
    preprocess = plan.preprocess
    if shape is not None and preprocess is None:
        raise InputError("--stdin-shape is for pictures, which this model does not take; send its tensors as .npy")
    read_frame: Callable[[BinaryIO], Array | None] = _npy if shape is None else partial(_raw, shape=shape)
    count = 0
    while True:
        name = f"stdin[{count}]"
        try:
            with mapped({OSError: InputError}, "standard input cannot be read; pipe frames into it"):
                array = read_frame(stream)
        except InputError as error:
            yield Item(name, partial(_failed, f"{name}: {error}"))
            return
        if array is None:
            return
        yield Item(name, partial(_sample, array, plan, preprocess, name))
        count += 1


def _sample(array: Array, plan: Plan, preprocess: Preprocess | None, name: str) -> Sample:
    begun_s = perf_counter()
    return timed(begun_s, sample_of_array(array, plan, preprocess, name), live=True)


def _failed(sentence: str) -> Sample:
    raise InputError(sentence)


def _raw(stream: BinaryIO, shape: tuple[int, ...]) -> Array | None:
    size = math.prod(shape)
    data = stream.read(size)
    if not data:
        return None
    if len(data) < size:
        raise InputError(f"standard input ended after {len(data)} of a frame's {size} bytes; check --stdin-shape")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _npy(stream: BinaryIO) -> Array | None:
    """Read one array as numpy.save writes it. NumPy's own reader needs to seek, which a pipe cannot."""
    first = stream.read(1)
    if not first:
        return None
    header = _Resumed(first, stream)
    try:
        version = npy.read_magic(header)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(header)
    except Exception as error:  # NumPy's header parser raises many kinds: TokenError, SyntaxError, KeyError
        raise InputError(
            "standard input holds no .npy here; write frames with numpy.save, or raw ones with --stdin-shape HxWxC"
        ) from error
    if dtype.hasobject or any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize > MOST_BYTES:
        raise InputError(f"an array {list(shape)} of {dtype} is not a frame; write plain numbers, one frame an array")
    size = math.prod(shape) * dtype.itemsize
    data = stream.read(size)
    if len(data) < size:
        raise InputError(f"standard input ended after {len(data)} of an array's {size} bytes")
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


class _Resumed:
    """A stream with its first byte put back, which was read to detect the end."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first, self._stream = first, stream

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes, as from a file."""
        first, self._first = self._first[:size], self._first[size:]
        return first + self._stream.read(size - len(first))


def open_stdin(_text: str, plan: Plan, stdin_shape: tuple[int, ...] | None = None) -> Iterator[Item]:
    """Frames from this process's standard input. Raises InputError if it is closed."""
    return stdin_items(_own_stdin(), plan, stdin_shape)


def _own_stdin() -> BinaryIO:
    """A separate reader: Python closes its own at exit, which aborts if a thread still waits in it."""
    if sys.stdin is None:
        raise InputError("standard input is closed; pipe frames into it, or give another --input")
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, AttributeError):  # a replaced standard input has no file descriptor
        return sys.stdin.buffer
