"""Write an ONNX file whose weights are copied straight from where they lie, never all in memory at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from partway.partitioner.formats.onnx.lazy_file import FOUR_BIT, GRAPH, INITIALIZER, SMALL_BYTES, Weight, onnx
from partway.partitioner.plan.plan import StageFile
from partway.proto.protowire import varint

LARGEST_FILE_BYTES = (1 << 31) - (1 << 24)
"""Protobuf cannot hold 2 GiB; a model that would be larger keeps its external weights in a file beside it."""
ALIGNMENT_BYTES = 4096
BYTES = 2


class _Hashed:
    """A file written once, front to back, that computes its digest and size; zeros become holes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.size_bytes += len(data)
        if len(data) >= ALIGNMENT_BYTES and not any(data[:64]) and data == bytes(len(data)):
            self._file.truncate(self.size_bytes)
            self._file.seek(self.size_bytes)
        else:
            self._file.write(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def write_model(proto: Any, weights: Mapping[str, Weight], path: Path) -> tuple[str, int, StageFile | None]:
    """Write a model whose large initialisers are in ``weights``; returns SHA-256 and size of the file, and its data
    file where one was written.

    ``proto`` is modified. Weights go into the file itself while it stays under 2 GiB, else all but the
    small ones into ``path`` + ``.data``, whose SHA-256 is then in each tensor's ``checksum`` entry as well.
    """
    mine = [weights[tensor.name] for tensor in proto.graph.initializer if tensor.name in weights]
    rest = [tensor for tensor in proto.graph.initializer if tensor.name not in weights]
    beside = None
    total = sum(len(weight.header) + weight.length for weight in mine) + proto.ByteSize()
    if total > LARGEST_FILE_BYTES:
        outside = [weight for weight in mine if _may_move(weight)]
        mine = [weight for weight in mine if not _may_move(weight)]
        tensors, beside = _write_data(outside, path.with_name(path.name + ".data"))
        rest = [*rest, *tensors]
    rebuilt = type(proto.graph)()
    for tensor in rest:
        rebuilt.initializer.add().CopyFrom(tensor)
    del proto.graph.initializer[:]
    proto.graph.MergeFrom(rebuilt)
    with path.open("wb") as file:
        out = _Hashed(file)
        _write_proto(proto, mine, out)
    return out.hexdigest(), out.size_bytes, beside


def _may_move(weight: Weight) -> bool:
    """Small tensors stay inside, because engines read shapes from them; 4-bit ones have no array type to map."""
    return weight.external and weight.length > SMALL_BYTES and weight.tensor.data_type not in FOUR_BIT


def _write_proto(proto: Any, weights: list[Weight], out: _Hashed) -> None:
    graph = proto.graph.SerializeToString(deterministic=True)
    proto.ClearField("graph")
    heads = [_tag(INITIALIZER) + varint(len(weight.header) + weight.length) + weight.header for weight in weights]
    length = len(graph) + sum(map(len, heads)) + sum(weight.length for weight in weights)
    out.write(proto.SerializeToString(deterministic=True))
    out.write(_tag(GRAPH) + varint(length))
    out.write(graph)
    for head, weight in zip(heads, weights, strict=True):
        out.write(head)
        for chunk in weight.chunks():
            out.write(chunk)


def _tag(number: int) -> bytes:
    return bytes((number << 3 | BYTES,))


def _write_data(weights: list[Weight], path: Path) -> tuple[list[Any], StageFile]:
    """Write under another name first: a process that has the older file mapped keeps it."""
    tensors = []
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        out = _Hashed(file)
        for weight in weights:
            out.write(bytes(-out.size_bytes % ALIGNMENT_BYTES))
            tensors.append(_reference(weight, path.name, out.size_bytes))
            for chunk in weight.chunks():
                out.write(chunk)
    part.replace(path)
    for tensor in tensors:
        tensor.external_data.add(key="checksum", value=out.hexdigest())
    return tensors, StageFile(path.name, out.hexdigest(), out.size_bytes)


def _reference(weight: Weight, location: str, offset: int) -> Any:
    tensor = onnx.TensorProto()
    tensor.CopyFrom(weight.tensor)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", weight.length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
