"""Weights of an ONNX stage that lie in a second file: found by a scan of our own and checked before anything is read.

A stage may come from a cloud, so its file names are not to be followed: they may only *equal* the one file that the
plan names and whose digest was checked. ONNX Runtime gets the weights as arrays over that file's bytes and never opens
a file by itself. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from partway.errors import InputError, WireError
from partway.proto.protowire import LENGTH, VARINT, FileBytes, fields, read_varint

Array = np.ndarray[Any, Any]
TENSOR = "tensor"
NESTED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: TENSOR, 2: TENSOR},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
}
"""Which fields of which message can hold tensors."""
DIMS, DATA_TYPE, NAME, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 13, 14
EXTERNAL = 1
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
    16: "uint16", 17: "uint8", 18: "uint8", 19: "uint8", 20: "uint8",
}  # fmt: skip
"""numpy's dtype by ONNX's element type; bfloat16 and the 8-bit floats go as integers of their size."""
AS_INTEGERS = frozenset(range(16, 21))
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(slots=True)
class External:
    """The fields of a tensor that may lie in another file; ``top`` marks an initialiser of the main graph."""

    top: bool
    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    outside: bool = False
    entries: list[tuple[str, str]] = field(default_factory=list)

    @property
    def locations(self) -> list[str]:
        """Every file name it gives."""
        return [value for key, value in self.entries if key == "location"]

    def number(self, key: str, default: int) -> int:
        """A number from its entries. Raises ValueError when it is not a number or is given twice."""
        values = [value for name, value in self.entries if name == key]
        if len(values) > 1 or not all(_NUMBER.fullmatch(value) for value in values):
            raise ValueError(key)
        return int(values[0]) if values else default


def external_tensors(model: FileBytes) -> list[External]:
    """Every tensor of an ONNX file, wherever it stands, that refers to another file. InputError when it is no ONNX."""
    if model.find(b"location") < 0:  # the key of every such reference
        return []
    try:
        found = [_tensor(model, *place) for place in _tensors(model)]
    except (WireError, UnicodeDecodeError) as error:
        raise InputError("the file is no ONNX model or cut short; slice or export the model again") from error
    return [tensor for tensor in found if tensor.outside or tensor.entries]


def _tensors(model: FileBytes) -> Iterator[tuple[int, int, bool]]:
    """Where each tensor message begins and ends, and whether it is an initialiser of the main graph."""
    waiting = [("model", 0, len(model), 0)]
    while waiting:
        kind, start, stop, depth = waiting.pop()
        for number, wire, _, begin, end in fields(model, start, stop):
            inner = NESTED[kind].get(number) if wire == LENGTH else None
            if inner == TENSOR:
                yield begin, end, kind == "graph" and depth == 1
            elif inner is not None:
                waiting.append((inner, begin, end, depth + 1))


def _tensor(model: FileBytes, start: int, stop: int, top: bool) -> External:
    external = External(top)
    for number, wire, _, begin, end in fields(model, start, stop):
        if number == EXTERNAL_DATA and wire == LENGTH:
            external.entries.append(_entry(model, begin, end))
        elif number == NAME and wire == LENGTH:
            external.name = model[begin:end].decode()
        elif number == DIMS:
            external.dims += list(_numbers(model, begin, end))
        elif number == DATA_TYPE and wire == VARINT:
            external.data_type = read_varint(model, begin, end)[0]
        elif number == DATA_LOCATION and wire == VARINT:
            external.outside = read_varint(model, begin, end)[0] == EXTERNAL
    return external


def _numbers(model: FileBytes, begin: int, end: int) -> Iterator[int]:
    while begin < end:
        number, begin = read_varint(model, begin, end)
        yield number


def _entry(model: FileBytes, start: int, stop: int) -> tuple[str, str]:
    """One key and one value. Raises when either is given twice, which would be ambiguous."""
    found = [(number, model[begin:end].decode()) for number, _, _, begin, end in fields(model, start, stop)]
    texts = dict(found)
    if len(texts) != len(found) or not texts.keys() <= {1, 2}:
        raise WireError("an entry of a tensor's external data is given twice")
    return texts.get(1, ""), texts.get(2, "")


def check_locations(tensors: list[External], file: str | None) -> None:
    """Raise InputError unless every reference is to ``file``, by that very name; None: there must be no reference."""
    for tensor in tensors:
        for place in tensor.locations or [""]:
            if file is None:
                where = f"the stage keeps external data of `{tensor.name}` in {place!r:.80}"
                raise InputError(f"{where}, a file that its plan does not name; refused, slice the model again")
            if place != file:
                where = f"the stage wants external data of `{tensor.name}` from {place!r:.80}"
                raise InputError(f"{where}, only {file} beside it may be read; refused, slice the model again")


def weights(tensors: list[External], file: str, data: FileBytes) -> dict[str, tuple[Array, int]]:
    """Each external initialiser by name: its array over the bytes of ``data`` (no copy), and its ONNX element type.

    Raises InputError when a tensor refers to another file, wants bytes that ``data`` does not have, or is none of the
    main graph's initialisers.
    """
    check_locations(tensors, file)
    found: dict[str, tuple[Array, int]] = {}
    for tensor in tensors:
        if not tensor.top or not tensor.outside or tensor.name in found:
            what = f"the external data of `{tensor.name}` belongs to no initialiser of its own"
            raise InputError(f"{what}; refused, slice the model again")
        found[tensor.name] = _array(tensor, file, data), tensor.data_type
    return found


def _array(tensor: External, file: str, data: FileBytes) -> Array:
    kind = DTYPES.get(tensor.data_type)
    if kind is None:
        raise InputError(f"`{tensor.name}` is of a type that cannot lie in {file}; keep it inside the model file")
    dtype = np.dtype(kind).newbyteorder("<")
    count = math.prod(tensor.dims)
    try:
        offset = tensor.number("offset", 0)
        length = tensor.number("length", count * dtype.itemsize)
    except ValueError as error:
        raise InputError(f"the {error} of `{tensor.name}` in {file} is no number; slice the model again") from error
    if length != count * dtype.itemsize or offset % dtype.itemsize or offset + length > len(data):
        where = f"{length} bytes at {offset}"
        raise InputError(
            f"{file} ({len(data)} bytes) does not hold `{tensor.name}` as the stage says ({where}); slice again"
        )
    return np.frombuffer(data, dtype, count, offset).reshape(tensor.dims)
