"""The standard gRPC health service (grpc.health.v1), for Kubernetes and load balancers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from partway.proto import messages as m

SERVICE = "grpc.health.v1.Health"
SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""HealthCheckResponse{status} is a single enum: 1 serving, 2 not serving."""
OPEN_CALLS = frozenset(
    [f"/{SERVICE}/Check", f"/{SERVICE}/Watch"]
    + [f"/{m.INFERENCE_SERVICE}/{method}" for method in ("ServerLive", "ServerReady")]
)
"""Calls that need no token, because Kubernetes and load balancers make them."""


def health_handlers(serving: Callable[[], bool]) -> grpc.GenericRpcHandler:
    """Check and Watch. Every service name gets the same answer, because the process serves as a whole."""

    def status() -> bytes:
        return SERVING if serving() else _NOT_SERVING

    async def check(request: bytes, context: Any) -> bytes:
        return status()

    async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
        last = b""
        while True:
            if status() != last:
                last = status()
                yield last
            await asyncio.sleep(0.5)

    table = {
        "Check": grpc.unary_unary_rpc_method_handler(check),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
    }
    return grpc.method_handlers_generic_handler(SERVICE, table)
