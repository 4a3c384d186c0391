"""The header of a frame: everything that repeats from frame to frame, as a value and as protobuf bytes.

Parsing and serialising are cached, so that a stream does both once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from partway.errors import WireError
from partway.proto.messages import ModelInferRequest, ModelInferResponse

Parameter = bool | int | float | str
MAX_CACHED_HEADER_BYTES = 4096
_INT64 = range(-(2**63), 2**63)


class TensorHead(NamedTuple):
    """Name, OIP datatype and concrete shape of one tensor in a frame."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """Everything in a frame except its id and its bytes. The hash is computed once: caches use headers as keys.

    Headers that differ only in ``contents`` are equal. Parameters of different types are not, even 1, 1.0 and True.
    """

    model: str
    parameters: tuple[tuple[str, Parameter], ...] = ()
    tensors: tuple[TensorHead, ...] = ()
    version: str = ""
    requested: tuple[str, ...] = ()
    contents: tuple[np.ndarray[Any, Any] | tuple[bytes, ...] | None, ...] = field(default=(), compare=False)
    _kinds: tuple[type, ...] = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kinds", tuple(type(value) for _, value in self.parameters))
        key = (self.model, self.parameters, self.tensors, self.version, self.requested)
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash


def parse_request(header: bytes) -> Header:
    """The header of a request from its fields' bytes. Raises WireError on malformed bytes."""
    return _parse_request(header) if len(header) <= MAX_CACHED_HEADER_BYTES else _parse_request.__wrapped__(header)


def parse_response(header: bytes) -> Header:
    """The header of a response from its fields' bytes. Raises WireError on malformed bytes."""
    return _parse_response(header) if len(header) <= MAX_CACHED_HEADER_BYTES else _parse_response.__wrapped__(header)


@lru_cache(maxsize=256)
def _parse_request(header: bytes) -> Header:
    message = _message(ModelInferRequest, header)
    return _header_of(message, message.inputs, tuple(output.name for output in message.outputs))


@lru_cache(maxsize=256)
def _parse_response(header: bytes) -> Header:
    message = _message(ModelInferResponse, header)
    return _header_of(message, message.outputs, ())


def _message(kind: Any, header: bytes) -> Any:
    try:
        return kind.FromString(header)
    except DecodeError:
        raise WireError("the message is malformed: its header does not parse") from None


def _header_of(message: Any, tensors: Any, outputs: tuple[str, ...]) -> Header:
    heads = tuple(TensorHead(t.name, t.datatype, tuple(t.shape)) for t in tensors)
    contents = tuple(_contents(t) if t.HasField("contents") else None for t in tensors)
    parameters = tuple(sorted((key, _parameter(value)) for key, value in message.parameters.items()))
    typed = contents if any(content is not None for content in contents) else ()
    return Header(message.model_name, parameters, heads, message.model_version, outputs, typed)


def _parameter(value: Any) -> Parameter:
    kind = value.WhichOneof("parameter_choice")
    return getattr(value, kind) if kind else ""


_CONTENTS_FIELD = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip


def _contents(tensor: Any) -> np.ndarray[Any, Any] | tuple[bytes, ...]:
    if tensor.datatype == "BYTES":
        return tuple(tensor.contents.bytes_contents)
    field = _CONTENTS_FIELD.get(tensor.datatype)
    if field is None:
        raise WireError(f"datatype {tensor.datatype!r:.40} has no typed contents; send it in raw_input_contents")
    return np.array(getattr(tensor.contents, field))


@lru_cache(maxsize=256)
def request_bytes(header: Header) -> bytes:
    """ModelInferRequest bytes without the id and the tensors."""
    message = ModelInferRequest(model_name=header.model, model_version=header.version)
    _fill(message.parameters, header.parameters)
    for head in header.tensors:
        message.inputs.add(name=head.name, datatype=head.datatype, shape=head.shape)
    for name in header.requested:
        message.outputs.add(name=name)
    return bytes(message.SerializeToString(deterministic=True))


@lru_cache(maxsize=256)
def response_bytes(header: Header) -> bytes:
    """ModelInferResponse bytes without the id, the durations and the tensors."""
    message = ModelInferResponse(model_name=header.model, model_version=header.version)
    _fill(message.parameters, header.parameters)
    for head in header.tensors:
        message.outputs.add(name=head.name, datatype=head.datatype, shape=head.shape)
    return bytes(message.SerializeToString(deterministic=True))


def _fill(target: Any, parameters: Sequence[tuple[str, Parameter]]) -> None:
    for key, value in parameters:
        if isinstance(value, bool):
            target[key].bool_param = value
        elif isinstance(value, int):
            setattr(target[key], "int64_param" if value in _INT64 else "uint64_param", value)
        elif isinstance(value, float):
            target[key].double_param = value
        else:
            target[key].string_param = value
