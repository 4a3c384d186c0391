"""What an ONNX file says of tensors and values: constants as arrays, inputs and outputs as names, types and shapes.

Read by our own protobuf scan, so that an engine needs no onnx package. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.engines.onnx_file.external_data import DTYPES
from partway.errors import InputError, WireError
from partway.proto.protowire import LENGTH, FileBytes, fields, read_varint

Array = np.ndarray[Any, Any]
BFLOAT16 = 16
PLAIN = frozenset(kind for kind in DTYPES if kind <= BFLOAT16)
"""Element types an array can hold; bfloat16 as the 16-bit integers of its bits."""
DIMS, DATA_TYPE, FLOATS, INTS, TENSOR_NAME, RAW, DOUBLES, LONGS, UNSIGNED = 1, 2, 4, 5, 8, 9, 10, 7, 11
VALUE_NAME, VALUE_TYPE = 1, 2
_TYPED = {FLOATS: "float32", DOUBLES: "float64"}


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor's numbers and its ONNX element type (see :data:`~partway.engines.onnx_file.external_data.DTYPES`)."""

    array: Array
    kind: int


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output: ONNX element type (0: not a tensor) and shape, None where a dimension is free.

    ``shape`` is None when the file gives none.
    """

    name: str
    kind: int
    shape: tuple[int | None, ...] | None


@contextmanager
def reading(doing: str) -> Iterator[None]:
    """Bytes that are no protobuf message, as an InputError that begins with ``doing``."""
    try:
        yield
    except (WireError, struct.error, ValueError) as error:
        raise InputError(f"{doing}: {str(error).removeprefix('the message is malformed: ')}") from error


def read_constant(data: FileBytes, begin: int, stop: int) -> tuple[str, Constant]:
    """A TensorProto with its data inside the file. Raises InputError when it is of no plain type or of another size."""
    name, kind, dims = "", 0, list[int]()
    raw: bytes | None = None
    typed: list[Array] = []
    for number, wire, _, at, end in fields(data, begin, stop):
        if number == DIMS:
            dims += varints(data, at, end)
        elif number == DATA_TYPE:
            kind = read_varint(data, at, end)[0]
        elif number == TENSOR_NAME:
            name = text(data, at, end)
        elif number == RAW:
            raw = bytes(data[at:end])
        elif number in _TYPED:
            typed.append(np.frombuffer(bytes(data[at:end]), np.dtype(_TYPED[number]).newbyteorder("<")))
        elif number in (INTS, LONGS, UNSIGNED):
            typed.append(np.fromiter(varints(data, at, end) if wire == LENGTH else [_varint(data, at, end)], np.int64))
    if kind not in PLAIN:
        raise InputError(f"the stage's constant {name!r} is of ONNX type {kind}, which only the engine onnx runs")
    return name, Constant(_shaped(name, kind, dims, raw, typed), kind)


def _shaped(name: str, kind: int, dims: list[int], raw: bytes | None, typed: list[Array]) -> Array:
    dtype = np.dtype(DTYPES[kind]).newbyteorder("<")
    if any(size < 0 for size in dims):
        raise InputError(f"the stage's constant {name!r} has a size below zero; export the model again")
    if raw is not None:
        flat = np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)
    else:
        parts = np.concatenate(typed) if typed else np.zeros(0, dtype)
        flat = parts.astype(np.uint16).view(dtype) if kind in (10, BFLOAT16) else parts.astype(dtype)
    if flat.size != math.prod(dims):
        raise InputError(f"the stage's constant {name!r} holds {flat.size} numbers, not {dims}; export the model again")
    return flat.astype(dtype.newbyteorder("="), copy=False).reshape(dims)


def read_value(data: FileBytes, begin: int, stop: int) -> Value:
    """A ValueInfoProto."""
    name, kind, shape = "", 0, None
    for number, _, _, at, end in fields(data, begin, stop):
        if number == VALUE_NAME:
            name = text(data, at, end)
        elif number == VALUE_TYPE:
            for inner, _, _, tensor, tensor_end in fields(data, at, end):
                if inner == 1:
                    kind, shape = _tensor_type(data, tensor, tensor_end)
    return Value(name, kind, shape)


def _tensor_type(data: FileBytes, begin: int, stop: int) -> tuple[int, tuple[int | None, ...] | None]:
    kind, shape = 0, None
    for number, _, _, at, end in fields(data, begin, stop):
        if number == 1:
            kind = read_varint(data, at, end)[0]
        elif number == 2:
            shape = tuple(_dimension(data, *place) for n, _, _, *place in fields(data, at, end) if n == 1)
    return kind, shape


def _dimension(data: FileBytes, begin: int, stop: int) -> int | None:
    for number, _, _, at, end in fields(data, begin, stop):
        if number == 1:
            return _varint(data, at, end)
    return None


def varints(data: FileBytes, at: int, end: int) -> list[int]:
    """Signed numbers, packed one after another (or just one)."""
    found = []
    while at < end:
        value, at = read_varint(data, at, end)
        found.append(_signed(value))
    return found


def _varint(data: FileBytes, at: int, end: int) -> int:
    return _signed(read_varint(data, at, end)[0])


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def floats(data: FileBytes, at: int, end: int) -> list[float]:
    """32-bit floats, packed one after another (or just one)."""
    return [value for (value,) in struct.iter_unpack("<f", bytes(data[at:end]))]


def text(data: FileBytes, at: int, end: int) -> str:
    """A name."""
    return bytes(data[at:end]).decode(errors="replace")
