"""The baselines of overhead.py: bare raw-bytes gRPC and a bare TCP connection, each in its own process.

``python -m benchmarks.echo stream|unary|tcp`` prints its port and answers every message with itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc import aio

STREAM, UNARY = "/bare.Echo/Stream", "/bare.Echo/Unary"
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
LENGTH = struct.Struct("<I")


def serve_unary() -> None:
    """The simplest gRPC server: a synchronous unary method, bytes in, the same bytes out."""
    server = grpc.server(ThreadPoolExecutor(2), options=LIMITS)
    handler = grpc.unary_unary_rpc_method_handler(lambda message, _: message)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Echo", {"Unary": handler}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


async def serve_stream() -> None:
    """A bidirectional stream without serialisers: bytes in, the same bytes out."""

    async def stream(_: Any, context: Any) -> None:
        while (message := await context.read()) is not aio.EOF:
            await context.write(message)

    server = aio.server(options=LIMITS)
    handler = grpc.stream_stream_rpc_method_handler(stream)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Echo", {"Stream": handler}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


def serve_tcp() -> None:
    """One connection: a length and that many bytes in, the same bytes out."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while header := connection.recv(4, socket.MSG_WAITALL):
                buffer = bytearray(LENGTH.unpack(header)[0])
                receive_exactly(connection, buffer)
                connection.sendall(buffer)


def receive_exactly(connection: socket.socket, buffer: bytearray) -> None:
    """Fill ``buffer`` from the connection."""
    view = memoryview(buffer)
    while view:
        view = view[connection.recv_into(view) :]


if __name__ == "__main__":
    if sys.argv[1] == "stream":
        asyncio.run(serve_stream())
    else:
        {"unary": serve_unary, "tcp": serve_tcp}[sys.argv[1]]()
