"""An ONNX file opened without its weights: the graph is parsed, large tensors stay on disk until a stage copies them.

So a model of several gigabytes is read and sliced in little memory. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import hashlib
import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partway.errors import InputError, WireError
from partway.proto.protowire import FileBytes, Truncated, fields, varint

try:
    import onnx
    from google.protobuf.message import DecodeError
except ImportError as missing:
    raise InputError("reading ONNX models needs the onnx package: pip install 'partway[partition]'") from missing

__all__ = ["FOUR_BIT", "ModelFile", "Weight", "file_digest", "onnx", "open_file", "tensors_in"]

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
TENSOR_DATA = frozenset({4, 5, 6, 7, RAW_DATA, 10, 11})
SMALL_BYTES = 4096
CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Weight:
    """A large initialiser left on disk: ``header`` then ``length`` bytes of ``path`` from ``begin`` on are its message.

    ``tensor`` is the same message without the data. ``external`` says that the bytes lie in a data file of their own,
    as plain little-endian numbers; ``header`` then ends in the tag that makes them the tensor's ``raw_data``.
    """

    tensor: Any
    path: Path
    begin: int
    length: int
    header: bytes = b""
    external: bool = False

    def chunks(self) -> Iterator[bytes]:
        """The ``length`` bytes on disk, a few megabytes at a time."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            remaining = self.length
            while remaining:
                chunk = file.read(min(remaining, CHUNK_BYTES))
                if not chunk:
                    raise InputError(f"{self.path} became shorter while it was read; slice the model again")
                remaining -= len(chunk)
                yield chunk


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's structure (``proto``, initialisers without their data where those are large) and its ``weights``."""

    path: Path
    proto: Any
    weights: Mapping[str, Weight]

    def digest(self) -> str:
        """SHA-256 of the model file and, in order of name, of the data files it refers to."""
        data_files = {weight.path for weight in self.weights.values() if weight.external}
        return file_digest([self.path, *sorted(data_files)])


def file_digest(paths: Sequence[Path]) -> str:
    """SHA-256 over the contents of some files, one after another, as a hexadecimal string."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def open_file(path: Path) -> ModelFile:
    """Read a ``.onnx`` file. Raises :class:`InputError` when it is missing, cut short or not an ONNX model."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            proto, embedded = _scan_model(data)
    except OSError as error:
        raise InputError(f"cannot read the model {path}: {error.strerror or error}; check the path") from error
    except ValueError as error:  # nothing to map
        raise InputError(f"cannot read the model {path}: it is empty; download or export it again") from error
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX model: {error}; give a .onnx file") from error
    except Truncated as error:
        raise InputError(f"{path} is cut short or not an ONNX model; download or export it again") from error
    except WireError as error:
        raise InputError(
            f"{path} is not an ONNX model: its bytes are no protobuf message; give a .onnx file"
        ) from error
    weights = {name: Weight(tensor, path, *where) for name, (tensor, where) in embedded.items()}
    for tensor in proto.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            weights[tensor.name] = _external(path, tensor)
    for tensor in tensors_in(proto.graph.node):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _load(tensor, _external(path, tensor))
    return ModelFile(path, proto, weights)


def tensors_in(nodes: Sequence[Any]) -> Iterator[Any]:
    """Every tensor that some nodes hold in their attributes, control-flow bodies included."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for body in (attribute.g, *attribute.graphs):
                yield from body.initializer
                yield from tensors_in(body.node)


def _load(tensor: Any, weight: Weight) -> None:
    tensor.raw_data = b"".join(weight.chunks())
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def _scan_model(data: FileBytes) -> tuple[Any, dict[str, tuple[Any, tuple[int, int]]]]:
    model, graph = bytearray(), bytearray()
    tensors: list[tuple[int, int]] = []
    for number, _, tag, begin, stop in fields(data, 0, len(data)):
        if number != GRAPH:
            model += data[tag:stop]
            continue
        for inner, _, inner_tag, inner_begin, inner_stop in fields(data, begin, stop):
            if inner == INITIALIZER:
                tensors.append((inner_begin, inner_stop))
            else:
                graph += data[inner_tag:inner_stop]
    proto = onnx.ModelProto.FromString(bytes(model))
    proto.graph.MergeFromString(bytes(graph))
    if not proto.ir_version or not proto.graph.node:
        raise DecodeError("it holds no operators")
    weights = {}
    for begin, stop in tensors:
        tensor = proto.graph.initializer.add()
        tensor.MergeFromString(_tensor_message(data, begin, stop))
        if stop - begin > SMALL_BYTES and tensor.data_location != onnx.TensorProto.EXTERNAL:
            weights[tensor.name] = (tensor, (begin, stop - begin))
    _check_names(proto.graph)
    return proto, weights


def _check_names(graph: Any) -> None:
    """Names that are not UTF-8 arrive as bytes; no exporter writes such."""
    values = [*graph.input, *graph.output, *graph.value_info]
    try:
        for node in graph.node:
            "".join((node.name, node.op_type, node.domain, *node.input, *node.output))
        "".join(dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim)
        "".join(named.name for named in (graph, *values, *graph.initializer))
    except TypeError as error:
        raise DecodeError("its names are not text") from error


def _tensor_message(data: FileBytes, begin: int, stop: int) -> bytes:
    if stop - begin <= SMALL_BYTES:
        return data[begin:stop]
    parts = (data[tag:end] for number, _, tag, _, end in fields(data, begin, stop) if number not in TENSOR_DATA)
    return b"".join(parts)


def _external(model: Path, tensor: Any) -> Weight:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _data_file(model, tensor.name, entries.get("location", ""))
    have = path.stat().st_size
    try:
        begin = int(entries.get("offset") or 0)
        length = int(entries.get("length") or have - begin)
        want = math.ceil(math.prod(tensor.dims) * _bits(tensor.data_type) / 8)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"the data entry of `{tensor.name}` in {model} is not readable; export it again") from error
    if length != want or begin < 0 or begin + length > have:
        raise InputError(f"{path} does not hold the {want} bytes of `{tensor.name}`; download or export it again")
    plain = type(tensor)()
    plain.CopyFrom(tensor)
    plain.ClearField("external_data")
    plain.ClearField("data_location")
    header = plain.SerializeToString(deterministic=True) + bytes((RAW_DATA << 3 | 2,)) + varint(length)
    return Weight(tensor, path, begin, length, header, external=True)


def _bits(data_type: int) -> int:
    if data_type in FOUR_BIT:
        return 4
    return int(onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize) * 8


FOUR_BIT = frozenset(
    getattr(onnx.TensorProto, name) for name in ("UINT4", "INT4", "FLOAT4E2M1") if hasattr(onnx.TensorProto, name)
)


def _data_file(model: Path, name: str, location: str) -> Path:
    path = model.parent / location
    homes = {model.parent.resolve(), model.resolve().parent}
    if not location or not any(path.resolve().is_relative_to(home) for home in homes):
        raise InputError(f"the data of `{name}` lies at {location!r}, outside the folder of {model}; refused")
    if not path.is_file():
        raise InputError(f"{model} keeps the data of `{name}` in {path}, which is missing; put it beside the model")
    return path
