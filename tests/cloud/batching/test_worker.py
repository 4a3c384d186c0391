"""Frames of several devices in one cloud, over real connections: who runs with whom, and that nobody notices."""

import asyncio
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import onnx
import pytest
from tests.cloud.conftest import Gate, X, Y, held
from tests.conftest import RealCloud
from tests.support import architectures
from tests.support.served import (
    LONG_S,
    PATIENCE_S,
    Array,
    Client,
    Cloud,
    OpenStream,
    assert_readable,
    outputs,
    request,
    served,
)

from partway.cloud.answer import FrameRefused, Router
from partway.cloud.batching.scheduler import BatchLimits, Mode
from partway.cloud.batching.worker import Batcher
from partway.cloud.models.batch_independence import independent
from partway.cloud.models.repository import ServedModel, load_model
from partway.cloud.services import inference
from partway.engines.interface import OutOfMemory
from partway.errors import InputError
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan_file import save_plan
from partway.partitioner.slicing import make_plan
from partway.proto import messages as m
from partway.proto.frame import Reply, decode_request

DEVICES, FRAMES = 6, 8


def slow(model: ServedModel) -> ServedModel:
    """The same model, said to take long, so that its frames are queued."""
    stages = len(model.plan.stages)
    return replace(model, suffix_s=tuple(LONG_S * (stages - k) for k in model.plan.splits))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, mnist: ServedModel) -> dict[str, ServedModel]:
    """Models on ONNX Runtime: the shipped one, residual blocks, a detector with an output long before the end."""
    found = {"mnist": slow(mnist)}
    for name in ("residual", "detector"):
        folder = tmp_path_factory.mktemp(name)
        onnx.save(getattr(architectures, name)().model, folder / f"{name}.onnx")
        save_plan(make_plan(folder / f"{name}.onnx", folder / "plan", name=name), folder / "plan")
        found[name] = slow(load_model(folder / "plan", 1))
    return found


def wait_for(stream: OpenStream, count: int) -> list[Any]:
    return [stream.read() for _ in range(count)]


class Together:
    """A cloud whose thread is held until every device's frames are queued."""

    def __init__(self, models: dict[str, ServedModel], limits: BatchLimits, gate: Gate) -> None:
        self.cloud, self.gate = Cloud({**models, "held": held(gate)}, limits=limits), gate
        self.client = Client(self.cloud.port)
        self.first = self.client.open()
        self.first.send(request("held", {"x": np.zeros((1, 4), np.float32)}).SerializeToString())
        assert gate.reached.acquire(timeout=PATIENCE_S)

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.opened.set()
        self.first.cancel()
        self.client.channel.close()
        self.cloud.__exit__(None, None, None)

    def open(self, queued: int) -> None:
        """Let the thread go once so many frames wait."""
        self.client.until(lambda: self.cloud.stats.queued == queued)
        self.gate.opened.set()


def frames_of(model: ServedModel, device: int) -> list[tuple[int, dict[str, Array], dict[str, Array], bytes]]:
    """Cut, outputs of the whole model, what the device's prefix made of them, and the message, of each frame."""
    made = []
    rng = np.random.default_rng(device)
    n = len(model.plan.stages)
    for index in range(FRAMES):
        k = (device + index) % n
        rows = 1 + (device * index) % 3
        x = {
            spec.name: rng.standard_normal([rows, *(size or 1 for size in spec.shape[1:])]).astype(np.float32)
            for spec in model.plan.crossing(0)
        }
        live = model.chain.run(x, 0, k)
        crossing = {spec.name: live[spec.name] for spec in model.plan.crossing(k)}
        whole = model.chain.answer(model.chain.run(x, 0, n))
        asked = request(model.plan.model, crossing, f"{device}-{index}", {"partway.cut": k})
        made.append((k, whole, live, asked.SerializeToString()))
    return made


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", ["mnist", "residual", "detector"])
def test_devices_at_mixed_cuts_get_their_own_answers(
    real: dict[str, ServedModel], gate: Gate, name: str, mode: Mode
) -> None:
    """Six devices, frames of one to three samples, every cut: the unsplit model's answers, and batches that merged."""
    model = real[name]
    sent = [frames_of(model, device) for device in range(DEVICES)]
    with Together({name: model}, BatchLimits(mode, max_wait_s=0.0), gate) as together:
        clients = [Client(together.cloud.port) for _ in range(DEVICES)]
        streams = [client.open() for client in clients]
        for stream, frames in zip(streams, sent, strict=True):
            for *_, message in frames:
                stream.send(message)
        together.open(DEVICES * FRAMES)
        replies = [wait_for(stream, FRAMES) for stream in streams]
        for stream, client in zip(streams, clients, strict=True):
            stream.cancel()
            client.channel.close()
        stats = together.cloud.stats
    for device, (frames, answers) in enumerate(zip(sent, replies, strict=True)):
        for index, ((k, whole, live, _), reply) in enumerate(zip(frames, answers, strict=True)):
            assert not reply.error_message
            assert reply.infer_response.id == f"{device}-{index}"
            found = outputs(reply.infer_response)
            assert set(found) == {output for output in whole if k == 0 or output not in live}
            for output, array in found.items():
                assert np.abs(array - whole[output]).max() <= 1e-5 * np.abs(whole[output]).max()
                assert np.array_equal(array.argmax(1), whole[output].argmax(1))
    largest = max(frames for (model_name, _, frames) in stats.sizes if model_name == name)
    merged = sum(count for (model_name, _), count in stats.merged.items() if model_name == name)
    assert (largest > 1, merged > 0) == {"across": (True, True), "per-cut": (True, False), "none": (False, False)}[mode]
    assert stats.queued == stats.queued_bytes == stats.refused == stats.failed == 0


@pytest.mark.usefixtures("sixteen")
def test_a_bad_frame_harms_no_other(gate: Gate) -> None:
    """A frame that makes its batch fail is refused, those that were with it are answered."""

    def picky(values: dict[str, Array]) -> dict[str, Array]:
        if np.isnan(values["x"]).any():
            raise InputError("a sample is not a number")
        return {"y": values["x"] * 2}

    numbers = [1.0, 2.0, np.nan, 4.0, np.nan, 6.0]
    with Together({"picky": served("picky", picky, (X,), (Y,), LONG_S)}, BatchLimits(), gate) as together:
        stream = together.client.open()
        for number in numbers:
            stream.send(request("picky", {"x": np.full((1, 4), number, np.float32)}).SerializeToString())
        together.open(len(numbers))
        replies = wait_for(stream, len(numbers))
        stream.cancel()
    for number, reply in zip(numbers, replies, strict=True):
        if np.isnan(number):
            assert reply.error_message == "a sample is not a number"
        else:
            assert outputs(reply.infer_response)["y"].tolist() == [[2 * number] * 4]
    assert together.cloud.stats.sizes["picky", 0, 6] == 1
    assert together.cloud.stats.failed == 2


@pytest.fixture
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine prefers batches of sixteen."""
    monkeypatch.setattr(Chain, "buckets", (16,))


@pytest.mark.usefixtures("sixteen")
def test_a_batch_that_finds_no_memory_is_run_in_halves(gate: Gate) -> None:
    """Every frame that fits is answered, later batches are smaller, and one that cannot fit is refused readably."""
    sizes: list[int] = []

    def small(values: dict[str, Array]) -> dict[str, Array]:
        sizes.append(len(values["x"]))
        if len(values["x"]) > 2 or values["x"].min() < 0:
            raise OutOfMemory("no room")
        return {"y": values["x"] * 2}

    numbers = [1.0, 2.0, 3.0, -4.0, 5.0, 6.0, 7.0, 8.0]
    with Together({"small": served("small", small, (X,), (Y,), LONG_S)}, BatchLimits(), gate) as together:
        stream = together.client.open()
        for number in numbers:
            stream.send(request("small", {"x": np.full((1, 4), number, np.float32)}).SerializeToString())
        together.open(len(numbers))
        replies = wait_for(stream, len(numbers))
        two = request("small", {"x": np.full((2, 4), -1.0, np.float32)}).SerializeToString()
        assert together.client.refusal("ModelInfer", two)[0] == "RESOURCE_EXHAUSTED"
        stream.send(request("small", {"x": np.ones((6, 4), np.float32)}).SerializeToString())
        (six,) = wait_for(stream, 1)
        stream.cancel()
    for number, reply in zip(numbers, replies, strict=True):
        if number < 0:
            assert_readable(reply.error_message)
            assert "no memory for a frame of 1 samples" in reply.error_message
        else:
            assert outputs(reply.infer_response)["y"][0, 0] == 2 * number
    assert outputs(six.infer_response)["y"].tolist() == [[2.0] * 4] * 6
    assert sizes[:3] == [8, 4, 2]
    assert together.cloud.stats.halved >= 2


def test_a_full_queue_refuses_in_band(gate: Gate) -> None:
    """The last frames of the device that sent most, each with its id and when to try again; the stream stays open."""
    with Together({}, BatchLimits(max_queue=4), gate) as together, Client(together.cloud.port) as other:
        stream, late = together.client.open(), other.open()
        for index in range(7):
            stream.send(held_frame(str(index)))
        together.client.until(lambda: together.cloud.stats.refused == 3)
        for index in range(2):  # takes the places of two of the first device's
            late.send(held_frame(f"late {index}"))
        together.client.until(lambda: together.cloud.stats.refused == 5)
        together.gate.opened.set()
        replies, others = wait_for(stream, 7), wait_for(late, 2)
    assert [bool(reply.error_message) for reply in replies] == [False] * 2 + [True] * 5
    for index, reply in enumerate(replies):
        assert reply.infer_response.id == str(index)
        if reply.error_message:
            assert_readable(reply.error_message)
            assert "too many frames wait" in reply.error_message
            assert reply.infer_response.parameters["partway.retry_ms"].int64_param >= 1
    assert not any(reply.error_message for reply in others)


def test_a_full_queue_refuses_a_unary_call_with_a_pushback(gate: Gate) -> None:
    """RESOURCE_EXHAUSTED, and when to try again in the trailing metadata, where gRPC's own retries look for it."""
    with Together({}, BatchLimits(max_queue=1), gate) as together:
        together.client.open().send(held_frame("0"))
        together.client.until(lambda: together.cloud.stats.queued == 1)
        with pytest.raises(grpc.RpcError) as caught:
            together.client.call("ModelInfer", held_frame("1"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    pushback = dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert f"try again in {pushback} ms" in caught.value.details()
    assert int(pushback) >= 1


def held_frame(frame_id: str, rows: int = 1, **parameters: Any) -> bytes:
    """A frame for the model behind the gate."""
    made = request("held", {"x": np.zeros((rows, 4), np.float32)}, frame_id, parameters)
    return bytes(made.SerializeToString())


def test_a_device_that_floods_does_not_starve_another(gate: Gate) -> None:
    """Sixty frames wait when another device sends its first: it is answered after one or two of them."""
    order: list[float] = []

    def remember(values: dict[str, Array]) -> dict[str, Array]:
        order.append(float(values["x"][0, 0]))
        return {"y": values["x"]}

    models = {"remember": served("remember", remember, (X,), (Y,), LONG_S)}
    with Together(models, BatchLimits(Mode.NONE), gate) as together, Client(together.cloud.port) as other:
        flood, quiet = together.client.open(), other.open()
        for index in range(60):
            flood.send(request("remember", {"x": np.full((1, 4), index, np.float32)}).SerializeToString())
        together.client.until(lambda: together.cloud.stats.queued == 60)
        quiet.send(request("remember", {"x": np.full((1, 4), -1, np.float32)}).SerializeToString())
        together.open(61)
        wait_for(quiet, 1)
        assert len(wait_for(flood, 60)) == 60
    assert order.index(-1.0) <= 2
    assert [number for number in order if number >= 0] == list(range(60))


def test_large_frames_are_not_read_in_advance(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream's window counts bytes too: of frames that hold a quarter of it, four or five wait, not sixty-four."""
    frame = held_frame("7", rows=64)
    monkeypatch.setattr(inference, "MAX_UNANSWERED_BYTES", 4 * len(frame))
    with Together({}, BatchLimits(), gate) as together:
        stream = together.client.open()
        for _ in range(20):
            stream.send(frame)
        for _ in range(100):
            together.client.call("ServerLive")  # the server has all the time to read on
        assert 4 <= together.cloud.stats.queued <= 5
        together.gate.opened.set()
        assert len(wait_for(stream, 20)) == 20


def test_the_queue_holds_only_so_many_bytes(gate: Gate) -> None:
    """Frames beyond are refused though there are few of them; one alone is taken whatever its size."""
    size = 64 * 4 * 4
    with Together({}, BatchLimits(max_bytes=size * 2 + 10), gate) as together:
        stream = together.client.open()
        for index in range(4):
            stream.send(held_frame(str(index), rows=64))
        together.client.until(lambda: together.cloud.stats.refused == 2)
        assert together.cloud.stats.queued_bytes == size * 2
        together.gate.opened.set()
        assert [bool(reply.error_message) for reply in wait_for(stream, 4)] == [False, False, True, True]


def test_expired_and_abandoned_frames_are_not_run(gate: Gate) -> None:
    """Behind the gate one frame's time runs out and another's device walks away: neither reaches the model."""
    with Together({}, BatchLimits(), gate) as together, Client(together.cloud.port) as other:
        stream, leaving = together.client.open(), other.open()
        stream.send(held_frame("late", **{"partway.deadline_ms": 0.001}))
        leaving.send(held_frame("gone"))
        stream.send(held_frame("patient"))
        together.client.until(lambda: together.cloud.stats.queued == 3)
        leaving.cancel()
        together.client.until(lambda: together.cloud.stats.cancelled == 1)
        together.gate.opened.set()
        late, patient = wait_for(stream, 2)
        stats = together.cloud.stats
        assert "waited past its deadline" in late.error_message
        assert not patient.error_message
        assert (stats.expired, stats.cancelled, gate.runs) == (1, 1, 2)


def test_models_that_mix_their_samples_are_found_out() -> None:
    """A mean over the batch, a maximum, an output without a batch: frames of two devices must not meet there."""
    apart = served("double", lambda values: {"y": values["x"] * 2}, (X,), (Y,))
    mixing = [
        lambda values: {"y": values["x"] - values["x"].mean()},
        lambda values: {"y": values["x"] / np.abs(values["x"]).max()},
        lambda values: {"y": values["x"][:1]},
    ]
    assert independent(apart.chain)
    for function in mixing:
        assert not independent(served("mixing", function, (X,), (Y,)).chain)


def test_a_model_that_mixes_its_samples_runs_frame_by_frame(gate: Gate) -> None:
    """Through the same queue, each frame alone."""

    def centred(values: dict[str, Array]) -> dict[str, Array]:
        return {"y": values["x"] - values["x"].mean()}

    model = replace(served("centred", centred, (X,), (Y,), LONG_S), independent=False)
    with Together({"centred": model}, BatchLimits(), gate) as together:
        stream = together.client.open()
        values = [np.arange(4, dtype=np.float32)[None] * (index + 1) for index in range(5)]
        for x in values:
            stream.send(request("centred", {"x": x}).SerializeToString())
        together.open(5)
        for x, reply in zip(values, wait_for(stream, 5), strict=True):
            assert np.array_equal(outputs(reply.infer_response)["y"], x - x.mean())
    assert together.cloud.stats.sizes["centred", 0, 1] == 5


def test_probes_tell_how_long_the_queue_is(gate: Gate) -> None:
    """In seconds, by what the frames that wait should take; nothing once they are answered."""
    with Together({}, BatchLimits(Mode.NONE), gate) as together:
        stream = together.client.open()
        for _ in range(3):
            stream.send(held_frame("7"))
        together.client.until(lambda: together.cloud.stats.queued == 3)
        probed = m.ProbeResponse.FromString(together.client.call("Probe", service=m.SPLIT_SERVICE))
        assert probed.queue_s == pytest.approx(4 * LONG_S)
        together.gate.opened.set()
        wait_for(stream, 3)
        together.first.read()
        probed = m.ProbeResponse.FromString(together.client.call("Probe", service=m.SPLIT_SERVICE))
        assert probed.queue_s == 0


def test_a_batcher_that_has_ended_refuses(mnist: ServedModel) -> None:
    """A frame that comes too late gets a status, not silence."""
    model = slow(mnist)
    frame = decode_request(frames_of(model, 0)[0][-1])

    async def scenario() -> None:
        batcher, route = Batcher({"mnist": model}), Router({"mnist": model}).route(frame.header)
        assert isinstance(await batcher.submit(route, frame, perf_counter(), "a", lambda made: made), Reply)
        await asyncio.to_thread(batcher.close)
        late = await batcher.submit(route, frame, perf_counter(), "a", lambda made: made)
        assert isinstance(late, FrameRefused)
        assert late.code == "UNAVAILABLE"

    asyncio.run(scenario())


def test_times_are_on_the_clock_that_is_passed_in(mnist: ServedModel) -> None:
    """A clock that goes on by a second a look: the frame waited for at least one of them."""
    model = slow(mnist)
    frame = decode_request(frames_of(model, 0)[0][-1])
    looks = count(1e6)

    async def scenario() -> Reply | FrameRefused:
        batcher, route = (
            Batcher({"mnist": model}, clock=lambda: next(looks)),
            Router({"mnist": model}).route(frame.header),
        )
        made = await batcher.submit(route, frame, next(looks), "a", lambda made: made)
        await asyncio.to_thread(batcher.close)
        return made

    reply = asyncio.run(scenario())
    assert isinstance(reply, Reply)
    assert reply.durations.queue_s >= 1.0


def test_a_fault_in_choosing_what_runs_does_not_end_the_thread(
    mnist: ServedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """The frames that wait are refused and the fault is logged; later frames are answered."""
    model = slow(mnist)
    frame = decode_request(frames_of(model, 0)[0][-1])

    async def scenario() -> list[Reply | FrameRefused]:
        batcher, route = Batcher({"mnist": model}), Router({"mnist": model}).route(frame.header)
        choose, faults = batcher._queue.next, iter([ValueError("odd")])

        def faulty() -> Any:
            if (fault := next(faults, None)) is not None:
                raise fault
            return choose()

        batcher._queue.next = faulty  # type: ignore[method-assign]
        made = [await batcher.submit(route, frame, perf_counter(), "a", lambda made: made) for _ in range(2)]
        await asyncio.to_thread(batcher.close)
        return made

    first, second = asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
    assert isinstance(first, FrameRefused)
    assert isinstance(second, Reply)
    assert "choosing what runs next failed (odd)" in caplog.text


def heavy(folder: Path) -> Path:
    """A plan of convolutions that take a few milliseconds each, so that a server of its own queues their frames."""
    net = architectures.Net(3)
    x, cuts = net.conv("image", 3, 32), ("pool0", "pool1", "pool2")
    for name in cuts:
        x = net.op("MaxPool", net.conv(net.conv(x, 32, 32), 32, 32), kernel_shape=[2, 2], strides=[2, 2], out=name)
    net.linear(net.op("Flatten", x), 32 * 12 * 12, 10, out="logits")
    onnx.save(net.model([("image", ["N", 3, 96, 96])], [("logits", ["N", 10])]), folder / "heavy.onnx")
    save_plan(make_plan(folder / "heavy.onnx", folder / "plan", cuts, name="heavy"), folder / "plan")
    return folder / "plan"


def test_a_server_process_merges_devices_at_mixed_cuts(start_cloud: Callable[..., RealCloud], tmp_path: Path) -> None:
    """Five devices at once against cloud-serve: the unsplit model's answers, and its metrics tell of merged batches."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http = free.getsockname()[1]
    folder = heavy(tmp_path)
    cloud = start_cloud("--models", str(folder), "--threads", "1", "--http-port", str(http), "--max-wait", "20ms")
    model = load_model(folder, 1)
    sent = [frames_of(model, device) for device in range(5)]
    answered: list[tuple[dict[str, Array], Any]] = []
    for _ in range(20):

        def device(number: int) -> list[Any]:
            with Client(cloud.port) as client:
                return client.stream(message for *_, message in sent[number])

        with ThreadPoolExecutor(5) as pool:
            replies = list(pool.map(device, range(5)))
        answered += [
            (whole, reply.infer_response)
            for frames, back in zip(sent, replies, strict=True)
            for (_, whole, *_), reply in zip(frames, back, strict=True)
        ]
        text = urlopen(f"http://127.0.0.1:{http}/metrics", timeout=PATIENCE_S).read().decode()
        merged = re.findall(r'partway_batches_merged_total\{model="heavy",stage="\d+"\} ([0-9.]+)', text)
        if sum(map(float, merged)) > 0:
            break
    assert sum(map(float, merged)) > 0
    for whole, response in answered:
        logits = outputs(response)["logits"]
        assert np.abs(logits - whole["logits"]).max() <= 1e-5 * np.abs(whole["logits"]).max()
        assert np.array_equal(logits.argmax(1), whole["logits"].argmax(1))
