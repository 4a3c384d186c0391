"""From a frame to its answer: check, decode, run the suffix, encode. No sockets; the clock is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter
from typing import Any

import numpy as np

from partway.cloud.repository import ServedModel
from partway.proto.codecs import RAW, blob_elements, pack, unpack
from partway.proto.datatypes import BYTES, NUMPY_NAME
from partway.proto.errors import CodecError, InputError, PartwayError, WireError
from partway.proto.frame import Durations, Frame, Header, Reply, TensorHead
from partway.proto.images import decode_image, is_image_codec

Array = np.ndarray[Any, Any]
Clock = Callable[[], float]


class Refusal(PartwayError):
    """A frame that is not answered. ``code`` is the name of the gRPC status; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """A frame whose header has been checked against the model it is for."""

    model: ServedModel
    frame: Frame
    k: int
    codec: str
    deadline_s: float | None


def check(models: Mapping[str, ServedModel], frame: Frame) -> Request:
    """Find the model and check split, plan and codec. Raises Refusal."""
    header = frame.header
    model = models.get(header.model)
    if model is None:
        raise Refusal("NOT_FOUND", f"model {header.model!r:.80} is not served here; served: {', '.join(models)}")
    k, codec, digest, deadline_ms = _parameters(header)
    if digest not in (None, model.digest):
        raise Refusal("FAILED_PRECONDITION", _other_version(header.model, str(digest), model.digest))
    if not isinstance(k, int) or isinstance(k, bool) or k not in model.plan.splits:
        raise Refusal("INVALID_ARGUMENT", f"partway.cut must be 0 to {len(model.plan.stages)}, {k!r:.40} came")
    if header.version not in ("", "1"):
        raise Refusal("NOT_FOUND", f"model {header.model} has version 1 only")
    return Request(model, frame, k, str(codec or RAW), deadline_ms / 1e3 if isinstance(deadline_ms, int | float) else None)


def _parameters(header: Header) -> tuple[Any, Any, Any, Any]:
    given = dict(header.parameters)
    names = ("partway.codec", "partway.plan", "partway.deadline_ms")
    return (given.get("partway.cut", 0), *(given.get(name) for name in names))


def _other_version(name: str, theirs: str, ours: str) -> str:
    return f"model {name} has plan {ours[:12]} here and {theirs[:12]:.12} on the device; use the same version on both"


def answer(request: Request, received_s: float, clock: Clock = perf_counter) -> Reply:
    """Run the suffix. Raises Refusal when the tensors do not fit or the deadline has passed while the frame waited."""
    begun = clock()
    if request.deadline_s is not None and begun - received_s > request.deadline_s:
        raise Refusal("DEADLINE_EXCEEDED", f"the frame waited past its deadline of {request.deadline_s * 1e3:g} ms")
    try:
        values = decode(request)
        decoded = clock()
        live = request.model.chain.run(values, request.k, len(request.model.plan.stages))
    except (WireError, InputError) as error:
        raise Refusal("INVALID_ARGUMENT", str(error)) from error
    durations = Durations(begun - received_s, decoded - begun, clock() - decoded)
    return Reply(_answer_frame(request, live), durations)


def decode(request: Request) -> dict[str, Array]:
    """The values of cut k off the wire. Raises CodecError when they are not exactly what the plan announces."""
    plan, frame = request.model.plan, request.frame
    if request.k == 0 and request.codec != RAW and is_image_codec(request.codec):
        return _decode_image(request)
    specs = {spec.name: spec for spec in plan.crossing(request.k)}
    names = [head.name for head in frame.header.tensors]
    if sorted(names) != sorted(specs):
        raise CodecError(f"split {request.k} takes {', '.join(specs)} once each; came: {', '.join(names)!s:.200}")
    buffers = _buffers(frame)
    return {head.name: unpack(head, data, specs[head.name]) for head, data in zip(frame.header.tensors, buffers, strict=True)}


def _buffers(frame: Frame) -> list[Any]:
    header = frame.header
    if not header.contents:
        if len(frame.raw) != len(header.tensors):
            raise CodecError(f"{len(header.tensors)} inputs need as many raw_input_contents, {len(frame.raw)} came")
        return list(frame.raw)
    if frame.raw:
        raise CodecError("contents field must not be specified when using raw_input_contents")
    return [_typed(head, content) for head, content in zip(header.tensors, header.contents, strict=True)]


def _typed(head: TensorHead, content: Array | tuple[bytes, ...] | None) -> memoryview:
    if content is None or isinstance(content, tuple) or head.datatype == BYTES:
        raise CodecError(f"unable to find data for input tensor {head.name!r:.80}")
    with np.errstate(all="ignore"):
        return memoryview(content.astype(NUMPY_NAME[head.datatype]).tobytes())


def _decode_image(request: Request) -> dict[str, Array]:
    preprocess, header = request.model.preprocess, request.frame.header
    if preprocess is None:
        raise CodecError(f"model {request.model.plan.model} does not take pictures; send its input tensors with codec raw")
    if len(header.tensors) != 1 or len(request.frame.raw) != 1:
        raise CodecError("a picture is one input of datatype BYTES")
    bodies = blob_elements(header.tensors[0], memoryview(request.frame.raw[0]))
    if not bodies or (len(bodies) > 1 and not request.model.plan.batches):
        raise CodecError(f"model {request.model.plan.model} takes one picture at a time, {len(bodies)} came")
    tensors = [preprocess.tensor(decode_image(request.codec, body, preprocess.shape)) for body in bodies]
    return {preprocess.value: tensors[0] if len(tensors) == 1 else np.concatenate(tensors)}


def _answer_frame(request: Request, live: Mapping[str, Array]) -> Frame:
    names = _wanted(request, live)
    packed = [pack(RAW, name, live[name]) for name in names]
    header = _response_header(request.frame.header.model, tuple(head for head, _ in packed))
    return Frame(header, request.frame.id, tuple(data for _, data in packed))


def _wanted(request: Request, live: Mapping[str, Array]) -> list[str]:
    outputs = [name for name in request.model.plan.outputs if name in live]
    wanted = request.frame.header.wanted
    if not wanted:
        return outputs
    if len(set(wanted)) != len(wanted) or not set(wanted) <= set(outputs):
        raise Refusal("INVALID_ARGUMENT", f"outputs must be among {', '.join(outputs)}, each at most once")
    return list(wanted)


@lru_cache(maxsize=256)
def _response_header(model: str, heads: tuple[TensorHead, ...]) -> Header:
    return Header(model, (), heads, "1")


def refused(frame_id: str, model: str, error: Refusal) -> Reply:
    """The in-band answer to a frame that is refused on a stream: its id and a sentence."""
    return Reply(Frame(replace(_response_header(model[:80], ())), frame_id, ()), Durations(), str(error))
