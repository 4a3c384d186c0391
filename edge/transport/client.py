"""A gRPC client for a cloud: blocking calls and a stream of frames, all driven by the calling thread."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from io import SEEK_END, BytesIO
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from partway.edge.transport.grpc_fork import refuse_forked

# isort: split
import grpc
from grpc import aio

from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.address import parse_address
from partway.edge.transport.grpc_stream import GrpcStream, brief, to_the_end
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.errors import InputError, LinkLost, PartwayError, Refused, mapped
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import plan_from_json
from partway.proto import messages as m

T = TypeVar("T")

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
]
_LOOP_S = 5.0
"""How long an operation without network traffic may take."""
_CONNECT_S = 0.3
CHUNK_S = 20.0
"""A cloud that sends no chunk of a file for so long is lost; 256 KB take that long at 100 kbps."""
_SLOWEST_BPS = 16_000
"""The link speed that the time-out of a probe allows for; it is 60 seconds at most."""
_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True, slots=True)
class Description:
    """A cloud's description of a model: its plan, the plan's digest, and the cloud's profile of it."""

    models: tuple[str, ...]
    plan: Plan | None
    digest: str
    profile: dict[str, Any]
    server: str


class CloudClient:
    """One cloud at ``address`` (HOST:PORT). Use as a context manager, and from one thread only.

    ``loop`` may be that of another client whose streams are closed; else a new one is made. The client that made a loop
    closes it. ``access`` says whether to use TLS, and which token.
    """

    def __init__(
        self,
        address: str,
        timeout_s: float = 5.0,
        loop: asyncio.AbstractEventLoop | None = None,
        access: Access = OPEN,
    ) -> None:
        refuse_forked()
        self.address = parse_address(address)
        self.timeout_s, self.access = timeout_s, access
        access.warn(self.address)
        self._closed = self._connected_once = False
        self.loop = asyncio.new_event_loop() if loop is None else loop
        self._channel: aio.Channel = self._call(self._open(), _LOOP_S)

    async def _open(self) -> aio.Channel:
        channel: aio.Channel = self.access.channel(self.address, _OPTIONS, aio)
        return channel

    def describe(self, model: str, known_digest: str = "") -> Description:
        """Get a model's plan and the cloud's profile. Raises InputError without an answer, Refused if it is unknown.

        The cloud does not send a plan whose digest is ``known_digest``.
        """
        call = self._unary(m.SPLIT_SERVICE, "Describe", m.DescribeRequest, m.DescribeResponse)
        request = m.DescribeRequest(model=model, known_digest=known_digest)
        reply = self._ask(lambda: self._call_when_ready(call, request))
        with mapped(
            {ValueError: InputError, RecursionError: InputError}, f"the cloud at {self.address} sent invalid JSON"
        ):
            plan_json, profile = json.loads(reply.plan_json or b"null"), json.loads(reply.profile_json or b"{}")
        plan = plan_from_json(plan_json, f"the plan of {self.address}") if reply.plan_json else None
        return Description(tuple(reply.models), plan, reply.plan_digest, profile, reply.server)

    async def _call_when_ready(self, call: Any, request: Any) -> Any:
        """Wait for a cloud that is not up yet, but not after a failed TLS handshake, which would fail again."""
        ready = asyncio.ensure_future(self._channel.channel_ready())
        ready.add_done_callback(self._note_connected)
        try:
            return await self._call_checking_tls(call, request)
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)

    def _note_connected(self, ready: asyncio.Future[None]) -> None:
        """Note a connection: if calls fail later, the address is right and the cloud is lost."""
        self._connected_once |= not ready.cancelled() and ready.exception() is None

    async def _call_checking_tls(self, call: Any, request: Any) -> Any:
        try:
            return await call(request, timeout=self.timeout_s, wait_for_ready=self.access.tls is None)
        except aio.AioRpcError as error:
            if self.access.tls is None or error.code() not in _UNREACHABLE or self.access.tls_fault(self.address):
                raise
        return await call(request, timeout=self.timeout_s, wait_for_ready=True)

    def fetch(self, digest: str) -> bytes:
        """Download a stage file by digest; a broken download resumes (three tries). Raises LinkLost."""
        return self._ask(lambda: self._fetch(digest), self._lost)

    async def _fetch(self, digest: str) -> bytes:
        data = BytesIO()
        await self._append(digest, data, None)
        return data.getvalue()

    def fetch_into(self, digest: str, file: BinaryIO, most_bytes: int) -> None:
        """Complete an open file from the cloud's file, up to ``most_bytes`` in all; a broken download resumes.

        Raises InputError when the cloud's file is larger than that, LinkLost when the cloud is lost.
        """
        self._ask(lambda: self._append(digest, file, most_bytes), self._lost)

    async def _append(self, digest: str, file: BinaryIO, most_bytes: int | None) -> None:
        path = f"/{m.SPLIT_SERVICE}/Fetch"
        call = self._channel.unary_stream(path, m.FetchRequest.SerializeToString, m.FetchChunk.FromString)
        for attempt in range(3):
            at = file.seek(0, SEEK_END)
            try:
                if attempt:
                    await self._connected()
                request = m.FetchRequest(digest=digest, offset=at)
                chunks = call(request, wait_for_ready=True, metadata=self.access.metadata)
                while (chunk := await self._chunk(chunks)) is not aio.EOF:
                    at += len(chunk.data)
                    if most_bytes is not None and at > most_bytes:
                        raise InputError(
                            f"the cloud at {self.address} sends more than the plan announces; check its model files"
                        )
                    file.write(chunk.data)
                return
            except aio.AioRpcError as error:
                if attempt == 2 or error.code() not in _UNREACHABLE:
                    raise
        raise AssertionError("unreachable")

    async def _connected(self) -> None:
        """Wait for a broken connection to return. Raises LinkLost if it does not within ``timeout_s``."""
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self.timeout_s)
        except TimeoutError:
            raise LinkLost(
                f"the cloud at {self.address} is lost: {self._connection_problem('it does not answer')}"
            ) from None

    async def _chunk(self, chunks: Any) -> Any:
        """The next chunk, or EOF. Raises LinkLost if none arrives for CHUNK_S."""
        try:
            return await asyncio.wait_for(chunks.read(), max(CHUNK_S, self.timeout_s))
        except TimeoutError:
            raise LinkLost(f"the cloud at {self.address} is lost: it sent nothing for {CHUNK_S:g} s") from None

    def probe(self, payload_bytes: int, reply_bytes: int = 0) -> float:
        """Seconds for a probe of these sizes both ways, without the cloud's own time. Raises LinkLost."""
        call = self._unary(m.SPLIT_SERVICE, "Probe", m.ProbeRequest, m.ProbeResponse)
        request = m.ProbeRequest(payload=bytes(payload_bytes), reply_bytes=reply_bytes)
        patience_s = min(self.timeout_s + (payload_bytes + reply_bytes) * 8 / _SLOWEST_BPS, 60.0)

        async def timed() -> float:
            begun = perf_counter()
            reply = await call(request, timeout=patience_s)
            return max(perf_counter() - begun - float(reply.server_s), 1e-9)

        return self._ask(timed, self._lost)

    def open_stream(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream:
        """Open the stream of frames."""
        path = f"/{m.INFERENCE_SERVICE}/ModelStreamInfer"

        async def opened() -> GrpcStream:
            return GrpcStream(
                self.loop,
                self._channel.stream_stream(path)(metadata=self.access.metadata),
                on_reply,
                on_lost,
                self.address,
            )

        return self._call(opened(), _LOOP_S)

    def _unary(self, service: str, method: str, request: Any, reply: Any) -> Any:
        unary_call = self._channel.unary_unary(f"/{service}/{method}", request.SerializeToString, reply.FromString)
        return partial(unary_call, metadata=self.access.metadata)

    def _ask(
        self, call: Callable[[], Awaitable[T]], translate: Callable[[aio.AioRpcError], PartwayError] | None = None
    ) -> T:
        async def awaited() -> T:
            return await call()  # the call must be made in the thread of its loop

        try:
            return self._call(awaited(), None)
        except aio.AioRpcError as error:
            raise (translate or self._translated)(error) from None

    def _lost(self, error: aio.AioRpcError) -> PartwayError:
        """The error for a cloud that has answered before."""
        if error.code() in _UNREACHABLE:
            return LinkLost(f"the cloud at {self.address} is lost: {self._connection_problem(brief(error))}")
        return self._refused(error)

    def _translated(self, error: aio.AioRpcError) -> PartwayError:
        if self._connected_once:
            return self._lost(error)
        if error.code() in _UNREACHABLE:
            if fault := self.access.tls_fault(self.address):
                return InputError(f"no TLS connection to the cloud at {self.address}: {fault}")
            if self.access.tls is None and _speaks_tls(self.address):
                return InputError(f"the cloud at {self.address} speaks TLS; give its CA with --tls-ca FILE, or --tls")
            why = self._connection_problem("something listens there, but it does not answer like a cloud")
            return InputError(
                f"no cloud answers at {self.address} (tried gRPC for {self.timeout_s:g} s: {why}); start one with"
                " `cloud-serve`, check address and firewall, or run with --cloud none"
            )
        return self._refused(error)

    def _refused(self, error: aio.AioRpcError) -> PartwayError:
        """The error for a server that answered and refused."""
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return InputError(
                f"the server at {self.address} is not a Partway cloud; check the port (cloud-serve --grpc-port)"
            )
        return Refused(f"the cloud at {self.address} refused: {error.details()}")

    def _connection_problem(self, listens: str) -> str:
        """Why gRPC cannot connect, according to a plain connection; ``listens`` if that succeeds."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        except TimeoutError:
            return "the address does not respond"
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return listens

    def _call(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
        return to_the_end(self.loop, asyncio.wait_for(coroutine, timeout_s))

    def close_channel(self) -> None:
        """Close the channel; the loop stays open for other clients."""
        if not self._closed:
            self._closed = True
            self._call(self._channel.close(None), _LOOP_S)

    def close(self) -> None:
        """Close the channel and the loop."""
        if self.loop.is_closed():
            return
        self.close_channel()
        self.loop.close()

    def __enter__(self) -> CloudClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _speaks_tls(address: str) -> bool:
    from partway.edge.transport.access.tls_diagnosis import speaks_tls  # loads Python's own TLS, which takes 4 MB

    return speaks_tls(address)
