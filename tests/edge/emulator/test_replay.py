"""Traces of links: read, started over, counted; and a device that is slowed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import Shape, TracePace, capacity, read_trace
from partway.engines.fake import FakeEngine, fake_stage
from partway.engines.throttled import SlowEngine
from partway.proto.tensors import TensorSpec


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Twelve Mbit/s for a second: one opportunity a millisecond."""
    path = tmp_path / "steady.up"
    path.write_text("\n".join(str(ms) for ms in range(1, 1001)) + "\n")
    return path


def test_a_trace_starts_over_when_told() -> None:
    """After rewind the first data meets the trace's beginning, whatever has passed."""
    pace = TracePace([1.0, 2.0, 10.0])
    assert pace.depart(100.0, 10) == 101.0
    assert pace.depart(105.0, 10) == 110.0
    pace.rewind()
    assert pace.depart(107.0, 10) == 108.0


def test_the_relay_rewinds_its_traces_and_leaves_rates_alone() -> None:
    """Both directions, through the relay's own command."""
    up, down = TracePace([0.5, 1.0]), TracePace([0.5, 1.0])
    up.depart(50.0, 10)
    with Relay(("127.0.0.1", 9), Shape(up), Shape(down)) as relay:
        relay.rewind()
    assert up.depart(60.0, 10) == 60.5


def test_what_a_trace_offers_is_counted_in_bins(trace: Path) -> None:
    """Twelve Mbit/s in every bin, round and round."""
    begins, rates = capacity(read_trace(trace), 3.0, 0.5)
    assert begins == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert rates == pytest.approx([12e6] * 6, rel=0.01)


def test_a_slow_device_gives_the_same_answers_later() -> None:
    """The engine runs a stage as often as told, and nothing else changes."""
    runs: list[int] = []

    class Counting(FakeEngine):
        def load(self, stage: bytes) -> Any:
            loaded = super().load(stage)

            class Stage:
                inputs, outputs = loaded.inputs, loaded.outputs

                def run(self, values: Any) -> Any:
                    runs.append(1)
                    return loaded.run(values)

            return Stage()

    spec = TensorSpec("x", "float32", (None, 4)), TensorSpec("y", "float32", (None, 4))
    body, values = fake_stage(spec[:1], spec[1:]), {"x": np.ones((1, 4), np.float32)}
    slow = SlowEngine(Counting(), 5)
    found = slow.load(body).run(values)
    assert len(runs) == 5
    np.testing.assert_array_equal(found["y"], FakeEngine().load(body).run(values)["y"])
    assert (slow.name, slow.threads, slow.version) == ("fake", FakeEngine().threads, FakeEngine().version)
