"""The Open Inference Protocol over gRPC (asyncio): health, metadata, unary and streamed inference.

Short suffixes run right on the event loop, because handing them to a thread would cost more than they take; longer ones
run in a thread of their own, in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from time import perf_counter
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

import partway
from partway.cloud.answer import Refusal, Route, Router, answer, refused
from partway.cloud.counters import Counters
from partway.cloud.replies import OrderedReplies
from partway.cloud.repository import ServedModel
from partway.cloud.streams import Streams, left
from partway.proto import messages as m
from partway.proto.datatypes import oip_datatype
from partway.proto.errors import WireError
from partway.proto.frame import Frame, Reply, decode_request, encode_reply, encode_response
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.cloud")
T = TypeVar("T")

INLINE_S = 0.5e-3
"""A suffix quicker than this runs on the event loop."""
STREAM_WINDOW = 64
"""Frames a stream may have unanswered before reading stops (back-pressure)."""


class InferenceService:
    """Answers frames for the models given. ``pool`` runs the long suffixes."""

    def __init__(self, models: Mapping[str, ServedModel], pool: Executor) -> None:
        self._models = models
        self._router = Router(models)
        self._pool = pool
        self._ahead_s = 0.0
        self.counters = Counters()
        self.ready = True
        self.streams = Streams()

    @property
    def queue_s(self) -> float:
        """Seconds that a frame which came now would wait for those before it, by what their suffixes should take."""
        return max(self._ahead_s, 0.0)

    def _in_pool(
        self, work: Callable[[Route, Frame, float], T], route: Route, frame: Frame, received_s: float
    ) -> asyncio.Future[T]:
        """Do it in the thread, and count what it takes as ahead of others until it is done."""
        suffix_s = route.model.suffix_s[route.k]
        self._ahead_s += suffix_s
        future = asyncio.get_running_loop().run_in_executor(self._pool, work, route, frame, received_s)
        future.add_done_callback(lambda _: self._done(suffix_s))
        return future

    def _done(self, suffix_s: float) -> None:
        self._ahead_s -= suffix_s

    def handlers(self) -> grpc.GenericRpcHandler:
        """Everything to register with a server."""
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
        received_s = perf_counter()
        try:
            frame = _decoded(message)
            route = self._router.route(frame.header)
            if route.model.suffix_s[route.k] < INLINE_S:
                reply = self._answer(route, frame, received_s)
            else:
                reply = await self._in_pool(self._answer, route, frame, received_s)
        except Refusal as error:
            self.counters.refused("", error.code)
            await context.abort(grpc.StatusCode[error.code], str(error))
            raise AssertionError from error  # abort raises
        return encode_response(reply.frame, reply.durations)

    async def _stream(self, _: Any, context: Any) -> None:
        """Reply to every frame in the order they came; a frame's own error goes in-band and the stream stays open."""
        async with OrderedReplies(context.write, STREAM_WINDOW) as replies:
            while isinstance(message := await self.streams.read(context), bytes):
                await replies.put(self._begin(message, perf_counter()))
        if message is None:
            await left(context)

    def _begin(self, message: bytes, received_s: float) -> bytes | asyncio.Future[bytes]:
        """The reply to a frame, or the promise of one."""
        try:
            frame = decode_request(message)
        except WireError as error:
            self.counters.refused("", "INVALID_ARGUMENT")
            return encode_reply(refused("", "", Refusal("INVALID_ARGUMENT", str(error))))
        try:
            route = self._router.route(frame.header)
        except Refusal as error:
            self.counters.refused("", error.code)
            return encode_reply(refused(frame.id, frame.header.model, error))
        if route.model.suffix_s[route.k] < INLINE_S:
            return self._answer_bytes(route, frame, received_s)
        return self._in_pool(self._answer_bytes, route, frame, received_s)

    def _answer(self, route: Route, frame: Frame, received_s: float) -> Reply:
        """The answer; what nobody foresaw is logged and becomes a Refusal that gives nothing away."""
        try:
            reply = answer(route, frame, received_s)
        except Refusal:
            raise
        except Exception as error:
            log.exception("frame %r of %s failed", frame.id[:80], route.model.plan.model)
            raise Refusal("INTERNAL", "the cloud failed on this frame; its log says why") from error
        self.counters.answered((route.model.plan.model, route.k, route.codec), reply.durations)
        return reply

    def _answer_bytes(self, route: Route, frame: Frame, received_s: float) -> bytes:
        try:
            return encode_reply(self._answer(route, frame, received_s))
        except Refusal as error:
            self.counters.refused(route.model.plan.model, error.code)
            return encode_reply(refused(frame.id, frame.header.model, error))


def _decoded(message: bytes) -> Frame:
    try:
        return decode_request(message)
    except WireError as error:
        raise Refusal("INVALID_ARGUMENT", str(error)) from error


def unary_handler(request: Any, method: Callable[[Any, Any], Any]) -> grpc.RpcMethodHandler:
    """A unary handler over protobuf messages of our own pool."""

    async def handled(message: bytes, context: Any) -> bytes:
        return bytes((await method(await parsed(request, message, context), context)).SerializeToString())

    return grpc.unary_unary_rpc_method_handler(handled)


async def parsed(request: Any, message: bytes, context: Any) -> Any:
    """The request; a message that is none ends the call. (gRPC's own deserializers tell the caller our exceptions.)"""
    try:
        return request.FromString(message)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message is malformed: it does not parse")


def _describe(target: Any, spec: TensorSpec) -> None:
    target.name, target.datatype = spec.name, oip_datatype(spec.dtype)
    target.shape.extend(-1 if size is None else size for size in spec.shape)
