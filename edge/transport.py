"""A cloud reached over gRPC: blocking calls, and a stream of frames driven by an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, TypeVar

import grpc
from grpc import aio

from partway.partitioner.plan import Plan, plan_from_json
from partway.proto import messages as m
from partway.proto.errors import InputError, LinkLost, PartwayError, Refused

T = TypeVar("T")
OnReply = Callable[[bytes, float], None]
OnLost = Callable[[LinkLost], None]

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
]
_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True, slots=True)
class Description:
    """What a cloud says of a model: its plan, the plan's digest, and its own profile of it."""

    models: tuple[str, ...]
    plan: Plan | None
    digest: str
    profile: dict[str, Any]
    server: str


class FrameStream(Protocol):
    """Somewhere frames go. Replies and the loss of the link come back through callbacks given when it was opened."""

    def send(self, message: bytes) -> None:
        """Queue one frame; never blocks."""

    def close(self) -> None:
        """No more frames; no callback fires afterwards."""


class CloudClient:
    """One cloud at ``address`` (HOST:PORT). Use as a context manager; every method may be called from any thread."""

    def __init__(self, address: str, timeout_s: float = 5.0) -> None:
        self.address = parse_address(address)
        self.timeout_s = timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="transport", daemon=True)
        self._thread.start()
        self._channel: aio.Channel = self._call(self._open(), timeout_s)

    async def _open(self) -> aio.Channel:
        return aio.insecure_channel(self.address, options=_OPTIONS)

    def describe(self, model: str) -> Description:
        """Ask for a model's plan and the cloud's profile. InputError when nobody answers or the model is not known there."""
        call = self._unary(m.SPLIT_SERVICE, "Describe", m.DescribeRequest, m.DescribeResponse)
        reply = self._ask(call(m.DescribeRequest(model=model), timeout=self.timeout_s, wait_for_ready=True))
        plan = plan_from_json(json.loads(reply.plan_json), f"the plan of {self.address}") if reply.plan_json else None
        profile = json.loads(reply.profile_json) if reply.profile_json else {}
        return Description(tuple(reply.models), plan, reply.plan_digest, profile, reply.server)

    def fetch(self, digest: str) -> bytes:
        """A stage file by digest, resumed where a broken download left off (three tries)."""
        return self._ask(self._fetch(digest))

    async def _fetch(self, digest: str) -> bytes:
        path = f"/{m.SPLIT_SERVICE}/Fetch"
        call = self._channel.unary_stream(path, m.FetchRequest.SerializeToString, m.FetchChunk.FromString)
        data = bytearray()
        for attempt in range(3):
            try:
                async for chunk in call(m.FetchRequest(digest=digest, offset=len(data)), wait_for_ready=True):
                    data += chunk.data
                return bytes(data)
            except aio.AioRpcError as error:
                if attempt == 2 or error.code() not in _UNREACHABLE:
                    raise
        raise AssertionError("unreachable")

    def probe(self, payload_bytes: int, reply_bytes: int = 0) -> float:
        """Seconds for this many bytes there and back, the cloud's own time taken off. Raises LinkLost."""
        call = self._unary(m.SPLIT_SERVICE, "Probe", m.ProbeRequest, m.ProbeResponse)
        request = m.ProbeRequest(payload=bytes(payload_bytes), reply_bytes=reply_bytes)

        async def timed() -> float:
            begun = perf_counter()
            reply = await call(request, timeout=60.0)
            return max(perf_counter() - begun - float(reply.server_s), 1e-9)

        return self._ask(timed())

    def open_stream(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream:
        """Open the stream of frames. ``on_reply(message, received_s)`` and ``on_lost`` are called from the transport's thread."""
        path = f"/{m.INFERENCE_SERVICE}/ModelStreamInfer"

        async def opened() -> GrpcStream:
            return GrpcStream(self._loop, self._channel.stream_stream(path)(), on_reply, on_lost, self.address)

        return self._call(opened(), self.timeout_s)

    def _unary(self, service: str, method: str, request: Any, reply: Any) -> Any:
        return self._channel.unary_unary(f"/{service}/{method}", request.SerializeToString, reply.FromString)

    def _ask(self, call: Any) -> Any:
        async def awaited() -> Any:
            return await call

        try:
            return self._call(awaited(), None)
        except aio.AioRpcError as error:
            raise self._ours(error) from None

    def _ours(self, error: aio.AioRpcError) -> PartwayError:
        if error.code() in _UNREACHABLE:
            return InputError(
                f"no cloud answers at {self.address} (tried gRPC for {self.timeout_s:g} s: {_brief(error)}); start one with"
                " `cloud-serve`, check address and firewall, or run with --cloud none"
            )
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return InputError(f"what answers at {self.address} is no Partway cloud; check the port (cloud-serve --grpc-port)")
        return Refused(f"the cloud at {self.address} refused: {error.details()}")

    def _call(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def close(self) -> None:
        """Close the channel and end the thread."""
        if self._loop.is_closed():
            return
        self._call(self._channel.close(None), self.timeout_s)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self.timeout_s)
        self._loop.close()

    def __enter__(self) -> CloudClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class GrpcStream:
    """ModelStreamInfer over an open call: one task writes what is queued, one reads replies."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Any, on_reply: OnReply, on_lost: OnLost, address: str) -> None:
        self._loop, self._call, self._address = loop, call, address
        self._on_reply, self._on_lost = on_reply, on_lost
        self._outbox: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._tasks = [loop.create_task(self._write()), loop.create_task(self._read())]

    def send(self, message: bytes) -> None:
        """See FrameStream."""
        idle = not self._outbox
        self._outbox.append(message)
        if idle:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                try:
                    await self._call.write(self._outbox[0])
                except (aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the reader reports the loss
                self._outbox.popleft()

    async def _read(self) -> None:
        try:
            while (message := await self._call.read()) is not aio.EOF:
                self._on_reply(message, perf_counter())
            reason = "it ended the stream"
        except aio.AioRpcError as error:
            reason = _brief(error)
        except asyncio.CancelledError:
            reason = "the stream was cancelled"
        if not self._closed:
            self._on_lost(LinkLost(f"the cloud at {self._address} is lost: {reason}"))

    def close(self) -> None:
        """See FrameStream."""
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5.0)

    async def _end(self) -> None:
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def parse_address(text: str) -> str:
    """HOST:PORT as gRPC takes it. Raises InputError on anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(f"cloud address {text!r} is not HOST:PORT, for example --cloud 192.0.2.7:8001")
    return f"{host}:{int(port)}"


def _brief(error: aio.AioRpcError) -> str:
    details = (error.details() or error.code().name).splitlines()[0]
    return details.rsplit("Failed to connect to remote host: ", 1)[-1].strip("; ")[:160]
