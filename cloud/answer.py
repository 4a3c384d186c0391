"""From a frame to its answer: check_header, decode, run the suffix, encode. No sockets; the clock is passed in."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any

import numpy as np

from partway.cloud.models.repository import ServedModel
from partway.errors import CodecError, InputError, PartwayError, WireError
from partway.proto.codecs.image import decode_image, is_image_codec
from partway.proto.codecs.packing import RawLayout, blob_elements, check_size, pack, raw_layout, unpack
from partway.proto.codecs.registry import RAW, codec_names, is_known, picture_labels, unknown_codec
from partway.proto.datatypes import BYTES, NUMPY_NAME
from partway.proto.frame import Durations, Frame, Reply
from partway.proto.header import MAX_CACHED_HEADER_BYTES, Header, Parameter, TensorHead
from partway.proto.tensors import MAX_BATCH

log = logging.getLogger("partway.cloud")
Array = np.ndarray[Any, Any]
Clock = Callable[[], float]
MAX_ROUTES = 1024
"""Number of cached headers; a new one replaces the oldest."""


class FrameRefused(PartwayError):  # noqa: N818 - it describes the event
    """The cloud refuses a frame. ``code`` is the name of the gRPC status; the message is for people.

    ``retry_s``: seconds after which the device may try again, None if a retry does not help.
    """

    def __init__(self, code: str, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_s = retry_s

    @property
    def retry_ms(self) -> int | None:
        """``retry_s`` in milliseconds for gRPC's ``grpc-retry-pushback-ms``, at least 1."""
        return None if self.retry_s is None else max(1, round(self.retry_s * 1e3))


@dataclass(frozen=True, slots=True)
class Route:
    """The common properties of all frames with the same header: model, split, and how to read the tensors.

    ``layout`` is None if tensors are coded or arrive as typed contents; then each tensor is read by its own header.
    """

    model: ServedModel
    k: int
    codec: str
    deadline_s: float | None
    layout: RawLayout | None
    outputs: tuple[str, ...]


class Router:
    """Checks a frame's header against the models, once per header."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = models
        self._routes: dict[Header, Route] = {}

    def route(self, header: Header) -> Route:
        """The route of a frame. Raises FrameRefused if the model, its version, the split or the tensors are wrong."""
        if header.contents:  # equality of headers ignores typed contents, so this one must not be cached
            return check_header(self._models, header)
        cached = self._routes.get(header)
        if cached is not None:
            return cached
        route = check_header(self._models, header)
        if len(repr(header)) <= MAX_CACHED_HEADER_BYTES:
            if len(self._routes) == MAX_ROUTES:
                del self._routes[next(iter(self._routes))]
            self._routes[header] = route
        return route


def check_header(models: Mapping[str, ServedModel], header: Header) -> Route:
    """Find the model and check_header version, split, plan and tensors. Raises FrameRefused."""
    model = models.get(header.model)
    if model is None:
        raise FrameRefused("NOT_FOUND", f"model {header.model!r:.80} is not served here; served: {', '.join(models)}")
    if header.version not in ("", "1"):
        raise FrameRefused("NOT_FOUND", f"model {header.model} has version 1 only")
    parameters = dict(header.parameters)
    digest, k = parameters.get("partway.plan"), parameters.get("partway.cut", 0)
    if digest not in (None, model.digest):
        raise FrameRefused("FAILED_PRECONDITION", _other_version(header.model, str(digest), model.digest))
    if not isinstance(k, int) or isinstance(k, bool) or k not in model.plan.splits:
        raise FrameRefused("INVALID_ARGUMENT", f"partway.cut must be 0 to {len(model.plan.stages)}, not {k!r:.40}")
    codec, deadline_s = (
        _codec(model, k, parameters.get("partway.codec")),
        _deadline_s(parameters.get("partway.deadline_ms")),
    )
    try:
        return Route(model, k, codec, deadline_s, _layout(model, k, codec, header), _outputs(model, k, header))
    except WireError as error:
        raise FrameRefused("INVALID_ARGUMENT", str(error)) from error


def _layout(model: ServedModel, k: int, codec: str, header: Header) -> RawLayout | None:
    if _is_picture(k, codec):
        return None
    specs = {spec.name: spec for spec in model.plan.crossing(k)}
    names = [head.name for head in header.tensors]
    if sorted(names) != sorted(specs):
        raise CodecError(f"split {k} takes {', '.join(specs)} once each; received: {', '.join(names)!s:.200}")
    layout = raw_layout(header.tensors, specs)
    _check_batch(model, k, (head.shape for head in header.tensors if head.datatype != BYTES))
    for head in header.tensors if layout is not None else ():
        check_size(head.name, head.shape, specs[head.name])
    return None if header.contents else layout


def _check_batch(model: ServedModel, k: int, shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuse too many samples: a small activation may grow beyond the memory in later stages."""
    largest = max((shape[0] for shape in shapes), default=0) if k in model.batched else 0
    if largest > MAX_BATCH:
        raise CodecError(f"a frame holds at most {MAX_BATCH} samples, {largest} came")


def _codec(model: ServedModel, k: int, name: Parameter | None) -> str:
    codec = name or RAW
    if isinstance(codec, str) and (is_known(codec, model.book) or _is_picture(k, codec)):
        return codec
    choices = [*codec_names(model.book), *(picture_labels() if k == 0 else ())]
    raise FrameRefused("INVALID_ARGUMENT", str(unknown_codec(codec, choices, f" at split {k}")))


def _deadline_s(deadline_ms: Parameter | None) -> float | None:
    if deadline_ms is None:
        return None
    if isinstance(deadline_ms, bool | str) or math.isnan(deadline_ms):
        raise FrameRefused(
            "INVALID_ARGUMENT", f"partway.deadline_ms must be a number of milliseconds, not {deadline_ms!r:.40}"
        )
    return float(deadline_ms) / 1e3


def _is_picture(k: int, codec: str) -> bool:
    return k == 0 and codec != RAW and is_image_codec(codec)


def _other_version(name: str, theirs: str, ours: str) -> str:
    return f"model {name} has plan {ours[:12]} here and {theirs[:12]} on the device; use the same version on both"


def answer(route: Route, frame: Frame, received_s: float, clock: Clock = perf_counter) -> Reply:
    """Run the suffix. Raises FrameRefused if the tensors do not fit or the deadline passed while the frame waited."""
    begun = clock()
    if route.deadline_s is not None and begun - received_s > route.deadline_s:
        raise FrameRefused("DEADLINE_EXCEEDED", f"the frame waited past its deadline of {route.deadline_s * 1e3:g} ms")
    try:
        values = decode(route, frame)
    except (WireError, InputError) as error:
        raise FrameRefused("INVALID_ARGUMENT", str(error)) from error
    decoded = clock()
    try:
        live = route.model.chain.run(values, route.k, len(route.model.plan.stages))
    except InputError as error:
        log_refused_run(route.model.plan.model, str(error))
        raise FrameRefused("INVALID_ARGUMENT", str(error)) from error
    durations = Durations(begun - received_s, decoded - begun, clock() - decoded)
    return Reply(answer_frame(route, frame, live), durations)


@lru_cache(maxsize=64)
def log_refused_run(model: str, why: str) -> None:
    """Log why the engine refused a frame that fits the plan; the same sentence once, because frames come again."""
    log.warning("a frame of %s was refused while it ran: %s", model, why)


def decode(route: Route, frame: Frame) -> dict[str, Array]:
    """Decode the values of cut k. Raises CodecError if they are not exactly as the plan describes."""
    if route.layout is not None:
        return route.layout.read(frame.raw)
    if _is_picture(route.k, route.codec):
        return _decode_pictures(route, frame)
    heads, tensors, book = frame.header.tensors, route.model.plan.tensors, route.model.book
    values = {h.name: unpack(h, data, tensors[h.name], book) for h, data in zip(heads, _buffers(frame), strict=True)}
    _check_batch(route.model, route.k, (array.shape for array in values.values()))
    return values


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
        cast = content.astype(NUMPY_NAME[head.datatype])
    if cast.dtype.kind in "iu" and not np.array_equal(cast, content):
        raise CodecError(f"input tensor {head.name!r:.80} has values outside {head.datatype}")
    return memoryview(cast.tobytes())


def _decode_pictures(route: Route, frame: Frame) -> dict[str, Array]:
    preprocess, heads, name = route.model.preprocess, frame.header.tensors, route.model.plan.model
    if preprocess is None:
        raise CodecError(f"model {name} does not take pictures; send its input tensors with codec raw")
    if route.model.plan.state:
        raise CodecError(f"model {name} reads state beside the picture; send its input tensors with codec raw")
    if len(heads) != 1 or heads[0].name != preprocess.value or heads[0].datatype != BYTES:
        raise CodecError(f"pictures are one input, {preprocess.value} of datatype BYTES, one element each")
    bodies = blob_elements(heads[0], memoryview(_buffers(frame)[0]))
    if not bodies or (len(bodies) > 1 and not route.model.plan.batches):
        raise CodecError(f"model {name} takes one picture at a time, {len(bodies)} came")
    tensors = [preprocess.tensor(decode_image(route.codec, body, preprocess.shape)) for body in bodies]
    return {preprocess.value: tensors[0] if len(tensors) == 1 else np.concatenate(tensors)}


def answer_frame(route: Route, frame: Frame, live: Mapping[str, Array]) -> Frame:
    """The response: the requested outputs, uncoded, from the live values at the end."""
    packed = [pack(RAW, name, live[name]) for name in route.outputs]
    header = _response_header(frame.header.model, tuple([head for head, _ in packed]))
    return Frame(header, frame.id, tuple([data for _, data in packed]))


def _outputs(model: ServedModel, k: int, header: Header) -> tuple[str, ...]:
    """The outputs of the answer: those the frame requests, or else all that the prefix does not make.

    State that came with the frame is not sent back: the device has it.
    """
    plan = model.plan
    available = {spec.name for stage in plan.stages[k:] for spec in stage.outputs} | set(plan.cuts[k].values)
    held = plan.state_values.intersection(plan.cuts[k].values) if k else frozenset()
    outputs = tuple(name for name in plan.outputs if name in available and name not in held)
    requested = header.requested
    if len(set(requested)) != len(requested) or not set(requested) <= set(outputs):
        raise FrameRefused("INVALID_ARGUMENT", f"outputs must be among {', '.join(outputs)}, each at most once")
    return requested or outputs


@lru_cache(maxsize=256)
def _response_header(model: str, heads: tuple[TensorHead, ...]) -> Header:
    return Header(model, (), heads, "1")


def refused(frame_id: str, model: str, error: FrameRefused) -> Reply:
    """The in-band reply to a refused frame of a stream: its id, a sentence, and the retry time."""
    header = _response_header(model[:80], ())
    if error.retry_ms is not None:
        header = Header(model[:80], (("partway.retry_ms", error.retry_ms),), (), "1")
    return Reply(Frame(header, frame_id, ()), Durations(), str(error))
