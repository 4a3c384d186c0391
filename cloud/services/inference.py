"""The Open Inference Protocol over gRPC (asyncio): health, metadata, unary and streamed inference.

Short suffixes run on the event loop, because handing them to a thread takes longer than running them. Longer ones go to
the batcher.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError

import partway
from partway.cloud.answer import FrameRefused, Route, Router, answer, refused
from partway.cloud.batching.worker import Batcher
from partway.cloud.models.repository import ServedModel
from partway.cloud.services.counters import Counters
from partway.cloud.services.ordered_replies import OrderedReplies
from partway.cloud.services.streams import Streams, end_stream
from partway.errors import WireError
from partway.proto import messages as m
from partway.proto.datatypes import oip_datatype
from partway.proto.frame import Frame, Reply, decode_request, encode_reply, encode_response
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.cloud")

INLINE_S = 0.5e-3
"""A suffix that takes less than this runs on the event loop."""
MAX_UNANSWERED = 64
"""A stream with this many unanswered frames is not read further (back-pressure)."""
MAX_UNANSWERED_BYTES = 64 << 20
"""The same limit in bytes; one frame is always read."""
PUSHBACK = "grpc-retry-pushback-ms"
"""The trailing metadata with the delay of gRPC's own retries (gRFC A6)."""


class InferenceService:
    """Answers frames of these models. ``batcher`` runs the long suffixes."""

    def __init__(self, models: Mapping[str, ServedModel], batcher: Batcher) -> None:
        self._models = models
        self._router = Router(models)
        self.batcher = batcher
        self.counters = Counters()
        self.ready = True
        self.streams = Streams()

    @property
    def queue_s(self) -> float:
        """Expected seconds that a frame arriving now would wait for the frames before it."""
        return self.batcher.queue_s

    def _inline(self, route: Route) -> bool:
        """Whether a frame runs on the event loop: its suffix is short, and no other frame of its model waits."""
        if route.model.suffix_s[route.k] >= INLINE_S or not self.batcher.idle(route.model.plan.model):
            return False
        self.batcher.stats.inline += 1
        return True

    def handlers(self) -> grpc.GenericRpcHandler:
        """The handlers to register with a server."""
        unary = {
            "ServerLive": (m.ServerLiveRequest, self._live),
            "ServerReady": (m.ServerReadyRequest, self._ready),
            "ModelReady": (m.ModelReadyRequest, self._model_ready),
            "ServerMetadata": (m.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": (m.ModelMetadataRequest, self._model_metadata),
        }
        table = {name: unary_handler(request, method) for name, (request, method) in unary.items()}
        table["ModelInfer"] = grpc.unary_unary_rpc_method_handler(self._infer)
        table["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(m.INFERENCE_SERVICE, table)

    async def _live(self, request: Any, context: Any) -> Any:
        return m.ServerLiveResponse(live=True)

    async def _ready(self, request: Any, context: Any) -> Any:
        return m.ServerReadyResponse(ready=self.ready)

    async def _model_ready(self, request: Any, context: Any) -> Any:
        return m.ModelReadyResponse(ready=self.ready and request.name in self._models)

    async def _server_metadata(self, request: Any, context: Any) -> Any:
        return m.ServerMetadataResponse(name="partway", version=partway.__version__, extensions=["partway.v1.Split"])

    async def _model_metadata(self, request: Any, context: Any) -> Any:
        model = self._models.get(request.name)
        if model is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"model {request.name!r:.80} is not served here")
            raise AssertionError  # abort raises
        reply = m.ModelMetadataResponse(name=request.name, versions=["1"], platform=f"partway_{model.plan.engine}")
        for target, names in ((reply.inputs, model.plan.inputs), (reply.outputs, model.plan.outputs)):
            for name in names:
                _describe(target.add(), model.plan.tensors[name])
        return reply

    async def _infer(self, message: bytes, context: Any) -> bytes:
        received_s, route = perf_counter(), None
        try:
            frame = _decoded(message)
            route = self._router.route(frame.header)
            if self._inline(route):
                outcome = self._counted(route, _answer_or_refusal(route, frame, received_s))
            else:
                counted = partial(self._counted, route)
                outcome = await self.batcher.submit(route, frame, received_s, context.peer(), counted)
            reply = _or_raise(outcome)
        except FrameRefused as error:
            if route is None:
                self.counters.refused("", error.code)
            pushback = () if error.retry_ms is None else ((PUSHBACK, str(error.retry_ms)),)
            await context.abort(grpc.StatusCode[error.code], str(error), pushback)
            raise AssertionError from error  # abort raises
        return encode_response(reply.frame, reply.durations)

    async def _stream(self, _: Any, context: Any) -> None:
        """Reply to the frames in order. An error of a frame is sent in-band, and the stream stays open."""
        stream = object()
        async with OrderedReplies(context.write, MAX_UNANSWERED, MAX_UNANSWERED_BYTES) as replies:
            while isinstance(message := await self.streams.read(context), bytes):
                await replies.put(self._begin(message, perf_counter(), stream), len(message))
        if message is None:
            await end_stream(context)

    def _begin(self, message: bytes, received_s: float, stream: object) -> bytes | asyncio.Future[bytes]:
        """The reply to a frame, or a future of it."""
        try:
            frame = decode_request(message)
        except WireError as error:
            self.counters.refused("", "INVALID_ARGUMENT")
            return encode_reply(refused("", "", FrameRefused("INVALID_ARGUMENT", str(error))))
        try:
            route = self._router.route(frame.header)
        except FrameRefused as error:
            self.counters.refused("", error.code)
            return encode_reply(refused(frame.id, frame.header.model, error))
        if self._inline(route):
            return self._reply_bytes(route, frame, _answer_or_refusal(route, frame, received_s))
        return self.batcher.submit(route, frame, received_s, stream, partial(self._reply_bytes, route, frame))

    async def reply(self, route: Route, frame: Frame, device: object) -> Reply:
        """The answer to a frame that is queued like any other, but not counted. Raises FrameRefused."""
        return await self.batcher.submit(route, frame, perf_counter(), device, _or_raise)

    def _reply_bytes(self, route: Route, frame: Frame, outcome: Reply | FrameRefused) -> bytes:
        self._counted(route, outcome)
        return encode_reply(
            refused(frame.id, frame.header.model, outcome) if isinstance(outcome, FrameRefused) else outcome
        )

    def _counted(self, route: Route, outcome: Reply | FrameRefused) -> Reply | FrameRefused:
        if isinstance(outcome, FrameRefused):
            self.counters.refused(route.model.plan.model, outcome.code)
        else:
            self.counters.answered((route.model.plan.model, route.k, route.codec), outcome.durations)
        return outcome


def _answer_or_refusal(route: Route, frame: Frame, received_s: float) -> Reply | FrameRefused:
    """The answer or a refusal. An unexpected error is logged and becomes a refusal without its details."""
    try:
        return answer(route, frame, received_s)
    except FrameRefused as error:
        return error
    except Exception:
        log.exception("frame %r of %s failed", frame.id[:80], route.model.plan.model)
        return FrameRefused("INTERNAL", "the cloud failed on this frame; its log says why")


def _or_raise(outcome: Reply | FrameRefused) -> Reply:
    if isinstance(outcome, FrameRefused):
        raise outcome
    return outcome


def _decoded(message: bytes) -> Frame:
    try:
        return decode_request(message)
    except WireError as error:
        raise FrameRefused("INVALID_ARGUMENT", str(error)) from error


def unary_handler(request: Any, method: Callable[[Any, Any], Any]) -> grpc.RpcMethodHandler:
    """A unary handler for protobuf messages of our own descriptor pool."""

    async def handled(message: bytes, context: Any) -> bytes:
        return bytes((await method(await parsed(request, message, context), context)).SerializeToString())

    return grpc.unary_unary_rpc_method_handler(handled)


async def parsed(request: Any, message: bytes, context: Any) -> Any:
    """The parsed request; a malformed message ends the call. (gRPC's deserializers would send our exceptions.)"""
    try:
        return request.FromString(message)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is malformed: it does not parse")


def _describe(target: Any, spec: TensorSpec) -> None:
    target.name, target.datatype = spec.name, oip_datatype(spec.dtype)
    target.shape.extend(-1 if size is None else size for size in spec.shape)
