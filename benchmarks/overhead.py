"""Measure the overhead of the wire: a null model behind the real cloud, against bare gRPC and bare TCP, in one run.

Bare gRPC twice: the plainest form (synchronous, unary) and the fastest (asyncio, one stream). One frame at a time (p50
of send to result), the same bytes back, client and server in two processes on one machine. Ours is the whole way:
tensor to message, stream, cloud-serve's checks, null model, reply parsed back to a tensor.

    python -m benchmarks.overhead [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import numpy as np
from grpc import aio

from benchmarks.echo import LENGTH, LIMITS, STREAM, UNARY, receive_exactly
from benchmarks.machine import machine_line
from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.edge.transport.client import CloudClient
from partway.engines.fake import fake_stage
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.plan_file import save_plan
from partway.proto.codecs.packing import unpack
from partway.proto.codecs.registry import RAW
from partway.proto.frame import decode_reply
from partway.proto.tensors import TensorSpec

SIZES = {"4 KB": 4_000, "100 KB": 100_000, "1 MB": 1_000_000}
MESSAGES = 60
Call = Callable[[], object]


def null_plan(folder: Path, name: str, size_bytes: int) -> Plan:
    """A plan of one stage that hands its input on: float32 [1, size]."""
    x, y = (TensorSpec(value, "float32", (None, size // 4)) for value, size in (("x", size_bytes), ("y", size_bytes)))
    body = fake_stage((x,), (y,))
    stage = Stage("stage0.json", hashlib.sha256(body).hexdigest(), len(body), (x,), (y,), 1)
    plan = Plan(name, "0" * 64, "fake", (stage,), (Cut(("x",)), Cut(("y",))), {"x": x, "y": y}, ("x",), ("y",))
    (folder / name).mkdir()
    (folder / name / stage.file).write_bytes(body)
    save_plan(plan, folder / name)
    return plan


def ours(stack: ExitStack, client: CloudClient, plan: Plan) -> Call:
    """One frame through Encoder, transport, cloud-serve and back to a tensor."""
    replies: deque[Any] = deque()
    stream = client.open_stream(lambda message, _: replies.append(message), replies.append)
    stack.callback(stream.close)
    encoder, spec = Encoder(plan), plan.tensors["y"]
    values = {"x": np.random.default_rng(0).standard_normal((1, plan.tensors["x"].shape[1] or 1)).astype(np.float32)}
    sample = Sample("null", values=values)

    def call() -> object:
        stream.send(encoder.frame("1", 0, RAW, [sample], values))
        while not replies:
            stream.poll(10.0)
        frame = decode_reply(replies.popleft()).frame
        return unpack(frame.header.tensors[0], frame.raw[0], spec)

    return call


def bare_stream(
    stack: ExitStack, port: int, size_bytes: int, loop: asyncio.AbstractEventLoop
) -> Callable[[], list[float]]:
    """Messages through a raw-bytes asyncio stream, in the same event loop as the transport's."""
    payload = bytes(size_bytes)

    async def opened() -> Any:
        return aio.insecure_channel(f"127.0.0.1:{port}", options=LIMITS).stream_stream(STREAM)()

    stream = loop.run_until_complete(opened())
    stack.callback(stream.cancel)

    async def many(times: int) -> list[float]:
        seconds = []
        for _ in range(times):
            begun = perf_counter()
            await stream.write(payload)
            await stream.read()
            seconds.append(perf_counter() - begun)
        return seconds

    return lambda: loop.run_until_complete(many(MESSAGES))


def bare_unary(stack: ExitStack, port: int, size_bytes: int) -> Call:
    """One message through the simplest gRPC client: a synchronous unary call."""
    channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}", options=LIMITS))
    method, payload = channel.unary_unary(UNARY), bytes(size_bytes)
    return lambda: method(payload)


def bare_tcp(stack: ExitStack, port: int, size_bytes: int) -> Call:
    """One message over a TCP connection, the length in front."""
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message, reply = LENGTH.pack(size_bytes) + bytes(size_bytes), bytearray(size_bytes)

    def call() -> object:
        connection.sendall(message)
        receive_exactly(connection, reply)
        return reply

    return call


def server(stack: ExitStack, *command: str) -> str:
    """Start a server process; its first line of output."""
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    return process.stdout.readline()


def times_of(call: Call) -> list[float]:
    """Seconds of MESSAGES calls one after another."""
    seconds = []
    for _ in range(MESSAGES):
        begun = perf_counter()
        call()
        seconds.append(perf_counter() - begun)
    return seconds


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds per size and path. The paths alternate, so that all see the same load."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plans = {label: null_plan(folder, f"null{size}", size) for label, size in SIZES.items()}
        ready = server(stack, "partway.cloud", "--models", str(folder), "--grpc-port", "0", "--json", "--no-advertise")
        client = stack.enter_context(CloudClient(f"127.0.0.1:{json.loads(ready)['grpc_port']}"))
        return {label: _one_size(stack, client, plans[label], size, rounds) for label, size in SIZES.items()}


def _one_size(stack: ExitStack, client: CloudClient, plan: Plan, size: int, rounds: int) -> dict[str, float]:
    ports = {kind: int(server(stack, "benchmarks.echo", kind)) for kind in ("stream", "unary", "tcp")}
    stream = bare_stream(stack, ports["stream"], size, client.loop)
    ways: dict[str, Callable[[], list[float]]] = {
        "ours": partial(times_of, ours(stack, client, plan)),
        "stream": stream,
        "unary": partial(times_of, bare_unary(stack, ports["unary"], size)),
        "tcp": partial(times_of, bare_tcp(stack, ports["tcp"], size)),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for index in range(rounds + 1):
        for way, measured in ways.items():
            found[way] += measured() if index else measured()[:0]
    return {way: statistics.median(seconds) for way, seconds in found.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    """The README's table."""
    heads = (
        "frame",
        "ours",
        "bare gRPC, unary",
        "bare gRPC, asyncio stream",
        "bare TCP",
        "ours / unary",
        "ours / stream",
    )
    rows = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for label, p50 in found.items():
        cells = [f"{p50[way] * 1e3:.2f} ms" for way in ("ours", "unary", "stream", "tcp")]
        ratios = [f"{p50['ours'] / p50[way]:.2f} ×" for way in ("unary", "stream")]
        rows.append(f"| {' | '.join([label, *cells, *ratios])} |")
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = measure(args.rounds)
    print(table(found))
    print(f"\np50 of {args.rounds * MESSAGES} frames each; {machine_line('grpcio', 'protobuf')}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
