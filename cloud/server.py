"""The gRPC server: its options, start, drain and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from grpc import aio

from partway.cloud.access.authentication import AccessPolicy
from partway.cloud.batching.scheduler import BatchLimits
from partway.cloud.batching.worker import Batcher
from partway.cloud.models.repository import ServedModel
from partway.cloud.services.audit import CodecAuditor, Verdict
from partway.cloud.services.health import OPEN_CALLS, health_handlers
from partway.cloud.services.health_call import health_address
from partway.cloud.services.inference import InferenceService
from partway.cloud.services.split import MAX_REPLY_BYTES, SplitService
from partway.errors import InputError

MOST_BYTES = (1 << 31) - 1
"""gRPC's own limit of a message's size."""
SLACK_BYTES = 1 << 20
DRAIN_S = 5.0


class CloudServer:
    """The cloud half on a port. One event loop; one thread for long suffixes."""

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        access: AccessPolicy = AccessPolicy(),  # noqa: B008 - frozen
        limits: BatchLimits | None = None,
    ) -> None:
        self.models, self.access = models, access
        self.batcher = Batcher(models, limits)
        self.inference = InferenceService(models, self.batcher)
        self._server = aio.server(options=server_options(largest_frame_bytes(models)))
        self.auditor = CodecAuditor(models)
        split = SplitService(models, self._audit, lambda: self.inference.queue_s)
        health = health_handlers(lambda: self.inference.ready)
        self._server.add_generic_rpc_handlers(
            access.handlers((self.inference.handlers(), split.handlers(), health), OPEN_CALLS)
        )
        self.port = 0

    async def _audit(self, coded: bytes, exact: bytes) -> Verdict:
        return await self.auditor.compare(coded, exact, self.inference.reply)

    async def start(self, host: str, port: int) -> None:
        """Bind and serve. ``port`` 0 takes a free one; see ``self.port``. Raises InputError if the port is in use."""
        try:
            self.port = self.access.bind(self._server, f"{_bracketed(host)}:{port}")
        except RuntimeError as error:
            why = f"port {port} on {host} is taken or not allowed; choose another with --grpc-port"
            raise InputError(why) from error
        if (health := health_address()) is not None:
            with suppress(RuntimeError):  # another cloud-serve of this container answers health checks
                self._server.add_insecure_port(health)
        await self._server.start()

    async def stop(self) -> None:
        """Report not ready, let frames in flight finish for up to DRAIN_S, end the streams, and close."""
        self.inference.ready = False
        self.inference.streams.leave()
        await self._server.stop(DRAIN_S)
        await asyncio.to_thread(self.batcher.close)


def _bracketed(host: str) -> str:
    bare = host.strip("[]")
    return f"[{bare}]" if ":" in bare else host


def largest_frame_bytes(models: Mapping[str, ServedModel]) -> int:
    """The size of the largest legal request of all models and cuts, at the largest batch, within gRPC's limit."""
    sizes = [
        sum(spec.most_elements * spec.itemsize for spec in model.plan.crossing(k))
        for model in models.values()
        for k in model.plan.splits
    ]
    return min(max([*sizes, MAX_REPLY_BYTES]) + SLACK_BYTES, MOST_BYTES)


def server_options(largest_bytes: int) -> list[tuple[str, int]]:
    """gRPC channel arguments: bounded messages, no silent sharing of a port, and frequent pings allowed."""
    return [
        ("grpc.max_receive_message_length", largest_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.max_concurrent_streams", 256),
    ]
