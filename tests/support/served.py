"""A cloud in this process: the real services on a loopback port, and a client that knows them by their bytes."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import numpy as np

from partway.cloud import server
from partway.cloud.access.authentication import AccessPolicy
from partway.cloud.batching.scheduler import BatchLimits
from partway.cloud.models.repository import ServedModel
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.preprocess import Preprocess
from partway.proto import messages as m
from partway.proto.tensors import TensorSpec, Values

Array = np.ndarray[Any, Any]
PATIENCE_S = 30.0
"""For what is certain to happen; only a broken test waits as long."""
LONG_S = 1.0
"""A suffix said to take this long runs in the thread."""


@dataclass(frozen=True)
class Python:
    """A stage that is a function."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    function: Callable[[Values], Mapping[str, Array]]

    def run(self, values: Values) -> dict[str, Array]:
        return dict(self.function(values))


def served(
    name: str,
    function: Callable[[Values], Mapping[str, Array]],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    suffix_s: float = 0.0,
    picture: Preprocess | None = None,
) -> ServedModel:
    """A model of one stage that is a function, said to take ``suffix_s``."""
    stage = Stage(f"{name}.bin", "d" * 64, 1, inputs, outputs, 1)
    names = tuple(tuple(spec.name for spec in specs) for specs in (inputs, outputs))
    tensors = {spec.name: spec for spec in (*inputs, *outputs)}
    plan = Plan(name, "0" * 64, "fake", (stage,), (Cut(names[0]), Cut(names[1])), tensors, names[0], names[1])
    chain = Chain(plan, [Python(inputs, outputs, function)])
    batched = range(1 if plan.batches else 0)
    return ServedModel(plan, plan.digest, Path("/nowhere"), chain, picture, {}, (suffix_s, 0.0), batched)


class Cloud:
    """A CloudServer with a thread and an event loop of its own."""

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        host: str = "127.0.0.1",
        port: int = 0,
        access: AccessPolicy | None = None,
        limits: BatchLimits | None = None,
    ) -> None:
        self._access, self._limits = access or AccessPolicy(), limits
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stopped = False
        try:
            self.server = self.run(self._started(models, host, port))
        except BaseException:
            self._end()
            raise
        self.port = self.server.port
        self.stats = self.server.batcher.stats

    async def _started(self, models: Mapping[str, ServedModel], host: str, port: int) -> server.CloudServer:
        made = server.CloudServer(models, self._access, self._limits)
        await made.start(host, port)
        return made

    def run(self, coroutine: Any) -> Any:
        """The result of something done on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def stopping(self) -> "Future[None]":
        """Stop as SIGTERM does, without waiting for it."""
        self._stopped = True
        return asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop)

    def stop(self) -> None:
        """Stop, unless told already."""
        if not self._stopped:
            self.stopping().result(PATIENCE_S)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def __enter__(self) -> "Cloud":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._end()


class Client:
    """Plain gRPC with bytes in and out."""

    def __init__(self, port: int, host: str = "127.0.0.1", **options: Any) -> None:
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        own = [*unlimited, ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"{host}:{port}", options=own, **options)

    def call(self, method: str, message: bytes = b"", service: str = m.INFERENCE_SERVICE, **options: Any) -> bytes:
        """A unary call."""
        made = self.channel.unary_unary(f"/{service}/{method}")
        return bytes(made(message, timeout=PATIENCE_S, wait_for_ready=True, **options))

    def refusal(self, method: str, message: bytes = b"", service: str = m.INFERENCE_SERVICE) -> tuple[str, str]:
        """Status and sentence of a unary call that is refused."""
        try:
            self.call(method, message, service)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError(f"{method} was answered")

    def until(self, condition: Callable[[], bool]) -> None:
        """Ask the server whether it lives until the condition holds: each answer is a turn of its loop."""
        for _ in range(20_000):
            if condition():
                return
            self.call("ServerLive")
        raise AssertionError("it never came to that")

    def infer(self, request: Any) -> Any:
        """ModelInfer with messages."""
        return m.ModelInferResponse.FromString(self.call("ModelInfer", request.SerializeToString()))

    def stream(self, messages: Iterable[bytes]) -> list[Any]:
        """ModelStreamInfer, everything there and everything back."""
        made = self.channel.stream_stream(f"/{m.INFERENCE_SERVICE}/ModelStreamInfer")
        replies = made(iter(messages), timeout=PATIENCE_S, wait_for_ready=True)
        return [m.ModelStreamInferResponse.FromString(reply) for reply in replies]

    def open(self) -> "OpenStream":
        """ModelStreamInfer, message by message."""
        return OpenStream(self.channel.stream_stream(f"/{m.INFERENCE_SERVICE}/ModelStreamInfer"))

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()


class OpenStream:
    """A stream under the test's hand."""

    def __init__(self, method: Any) -> None:
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.call = method(self._messages(), timeout=PATIENCE_S, wait_for_ready=True)

    def _messages(self) -> Iterator[bytes]:
        while (message := self._outbox.get()) is not None:
            yield message

    def send(self, message: bytes) -> None:
        """Hand a message to gRPC."""
        self._outbox.put(message)

    def read(self) -> Any:
        """The next reply."""
        return m.ModelStreamInferResponse.FromString(next(self.call))

    def half_close(self) -> None:
        """Say that no more will be sent."""
        self._outbox.put(None)

    def rest(self) -> list[Any]:
        """Half-close, and what still comes."""
        self.half_close()
        return [m.ModelStreamInferResponse.FromString(reply) for reply in self.call]

    def cancel(self) -> None:
        """Walk away."""
        self.call.cancel()
        self.half_close()


def request(
    model: str, values: Mapping[str, Array], frame_id: str = "7", parameters: Mapping[str, Any] | None = None
) -> Any:
    """A plain Open Inference request, made with protobuf alone."""
    kinds = {"float32": "FP32", "int64": "INT64", "int8": "INT8", "uint8": "UINT8", "bool": "BOOL", "float64": "FP64"}
    made = m.ModelInferRequest(model_name=model, id=frame_id)
    for name, array in values.items():
        made.inputs.add(name=name, datatype=kinds[array.dtype.name], shape=array.shape)
        made.raw_input_contents.append(array.tobytes())
    for name, value in (parameters or {}).items():
        kind = {bool: "bool", int: "int64", str: "string", float: "double"}[type(value)]
        setattr(made.parameters[name], f"{kind}_param", value)
    return made


def outputs(response: Any) -> dict[str, Array]:
    """The tensors of a ModelInferResponse."""
    kinds = {"FP32": np.float32, "INT64": np.int64, "INT8": np.int8, "BOOL": np.bool_}
    pairs = zip(response.outputs, response.raw_output_contents, strict=True)
    return {head.name: np.frombuffer(raw, kinds[head.datatype]).reshape(head.shape) for head, raw in pairs}


def assert_readable(text: str) -> None:
    """A sentence for people: short, on one line, nothing of our insides in it."""
    assert 10 < len(text) < 700
    assert text.isprintable()
    for inside in (
        "Traceback",
        "Error'",
        "<class",
        ".py",
        "/work",
        "/nowhere",
        "site-packages",
        "onnxruntime_src",
        " 0x",
    ):
        assert inside not in text
