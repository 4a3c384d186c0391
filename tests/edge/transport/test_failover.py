"""Several clouds, looked after in the background: real processes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import RealCloud

from partway.edge.decision.split_controller import SplitController
from partway.edge.main import main
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.edge.transport.access.access import OPEN
from partway.edge.transport.client import CloudClient
from partway.edge.transport.failover import KnownClouds
from partway.engines.registry import engine_for
from partway.partitioner.decide.estimate import Candidate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

MNIST = model_folder("mnist")
PLAN = load_plan(MNIST)
PATIENCE_S = 30.0


class Sender:
    """Keeps the link busy, over which it sends; ``reach`` is what it says of it."""

    def __init__(self, controller: SplitController, reach: tuple[Link, float] | None = None) -> None:
        self._reach = reach
        self.relinked = controller.relinked

    def idle(self) -> bool:
        return False

    def link_and_queue(self) -> tuple[Link, float] | None:
        return self._reach


def _until(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s, "it never came to that"
        time.sleep(0.01)


def _samples(count: int) -> Iterator[Sample]:
    rng = np.random.default_rng(0)
    for index in range(count):
        yield Sample(str(index), rng.integers(0, 256, (28, 28, 1), dtype=np.uint8))


def test_the_second_cloud_takes_over_before_the_device_does(start_cloud: Callable[..., RealCloud]) -> None:
    """Two clouds serve the plan; the first is killed: every frame is answered once, and the rest by the second."""
    first, second = start_cloud("--threads", "1"), start_cloud("--threads", "1")
    split = Candidate(1, "raw", 2600, 200)
    link = Link(1e8, 1e-3)
    told = [estimate(each, Speeds((1e-4,) * 3, (1e-4,) * 3), link) for each in (split, Candidate(3, None))]
    controller = SplitController(told, split, objective(), PLAN, link, free=False)
    with CloudClient(first.address) as client:
        clouds = KnownClouds(client, [first.address, second.address], PLAN)
        clouds.watch(Sender(controller), link)
        chain = load_folder(MNIST, PLAN, engine_for("onnx", 1))
        runner = Runner(chain, Encoder(PLAN), clouds=clouds, watch=controller)
        _until(lambda: clouds._monitors[second.address].status)
        results = []
        for result in runner.run(_samples(60), controller):
            if result.id == 20:
                first.process.kill()
                first.process.wait()
            results.append(result)
        runner.close()
        clouds.close()
    assert [result.id for result in results] == list(range(60))
    assert results[-1].answered_by == "cloud"
    assert sum(result.answered_by == "device" for result in results) <= 8
    assert controller.changes == []


def test_neighbours_are_followed_as_they_come_and_go(start_cloud: Callable[..., RealCloud]) -> None:
    """One that appears is used once the first says goodbye; one that has gone is not looked after any more."""
    first, second, third = start_cloud("--threads", "1"), start_cloud("--threads", "1"), start_cloud("--threads", "1")
    there = {first.address: OPEN, third.address: OPEN}
    split, link = Candidate(1, "raw", 2600, 200), Link(1e8, 1e-3)
    told = [estimate(each, Speeds((1e-4,) * 3, (1e-4,) * 3), link) for each in (split, Candidate(3, None))]
    controller = SplitController(told, split, objective(), PLAN, link, free=False)
    before = threading.active_count()
    with CloudClient(first.address) as client:
        clouds = KnownClouds(client, [], PLAN, lambda: dict(there))
        clouds.watch(controller, link)
        chain = load_folder(MNIST, PLAN, engine_for("onnx", 1))
        runner = Runner(chain, Encoder(PLAN), clouds=clouds, watch=controller)

        def frames() -> Iterator[Sample]:
            yield from _samples(5)
            del there[third.address]
            there[second.address] = OPEN
            for sample in _samples(100_000):
                yield sample
                if second.address in clouds._monitors and clouds._monitors[second.address].status:
                    break
                time.sleep(0.005)
            del there[first.address]
            first.process.terminate()
            for sample in _samples(100_000):
                yield sample
                if clouds.address == second.address:
                    break
                time.sleep(0.005)
            yield from _samples(5)

        results = list(runner.run(frames(), controller))
        assert clouds.address == second.address
        assert first.address not in clouds._monitors or clouds._monitors[first.address].status is None
        assert third.address not in clouds._monitors
        runner.close()
        clouds.close()
    assert [result.id for result in results] == list(range(len(results)))
    assert {result.answered_by for result in results[-5:]} == {"cloud"}
    assert first.process.wait(PATIENCE_S) == 0
    _until(lambda: threading.active_count() <= before + 1)


def test_a_much_nearer_neighbour_is_moved_to_and_no_frame_is_lost(
    start_cloud: Callable[..., RealCloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud in use turns out to be far; what is in flight goes to the nearer one as well."""
    monkeypatch.setattr("partway.edge.transport.failover.STAY_S", 0.0)
    far, near = start_cloud("--threads", "1"), start_cloud("--threads", "1")
    split, link = Candidate(1, "raw", 2600, 200), Link(1e8, 1e-3)
    told = [estimate(each, Speeds((1e-4,) * 3, (1e-4,) * 3), link) for each in (split, Candidate(3, None))]
    controller = SplitController(told, split, objective(), PLAN, link, free=False)
    with CloudClient(far.address) as client:
        both = dict.fromkeys((far.address, near.address), OPEN)
        clouds = KnownClouds(client, [], PLAN, lambda: both)
        clouds.watch(Sender(controller, (Link(1e5, 1.0), 0.0)), link)
        chain = load_folder(MNIST, PLAN, engine_for("onnx", 1))
        runner = Runner(chain, Encoder(PLAN), clouds=clouds, window=4, watch=controller)

        def frames() -> Iterator[Sample]:
            for sample in _samples(100_000):
                yield sample
                if clouds.address == near.address:
                    break
            monkeypatch.setattr("partway.edge.transport.failover.STAY_S", 60.0)
            yield from _samples(20)

        results = list(runner.run(frames(), controller))
        runner.close()
        clouds.close()
    assert [result.id for result in results] == list(range(len(results)))
    assert {result.answered_by for result in results[-20:]} == {"cloud"}


def test_the_first_of_the_clouds_that_answers_is_used(
    start_cloud: Callable[..., RealCloud], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``--cloud A,B``: nobody is at A; that is said, and B answers."""
    cloud, out = start_cloud(), tmp_path / "out.json"
    options = ["--model", "mnist", "--split", "1", "--frames", "3", "--timeout", "300ms", "--json", str(out)]
    assert main([*options, "--cloud", f"127.0.0.1:1,{cloud.address}"]) == 0
    assert {frame["answered_by"] for frame in json.loads(out.read_text())["frames"]} == {"cloud"}
    assert "no cloud answers at 127.0.0.1:1" in caplog.text
    assert "trying the next cloud" in caplog.text
