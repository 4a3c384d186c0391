"""A trace replayed through real processes, and the figures made of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.edge.emulator.relay import Relay
from partway.edge.emulator.replay import Answered, Replay
from partway.edge.emulator.shaper import Shape, TracePace, capacity, read_trace
from partway.edge.emulator.summary import frame_energy_j, missed, series, shares, summary
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.run_json import Outcome
from partway.engines.fake import FakeEngine, fake_stage
from partway.engines.throttled import SlowEngine
from partway.partitioner.decide.power import Power
from partway.partitioner.plan.plan import load_plan
from partway.partitioner.zoo import model_folder
from partway.proto.tensors import TensorSpec

PLAN = load_plan(model_folder("mnist"))
POWER = Power("test", compute_w=10.0, send_w=4.0, wait_w=1.0)
FRAME = FrameResult(0, "a", 1, "raw", 100, 20, 0.1, 0.02, 0.3, 0.01, 0.02, 0.05, 0.5, "cloud", {})


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Twelve Mbit/s for a second: one opportunity a millisecond."""
    path = tmp_path / "steady.up"
    path.write_text("\n".join(str(ms) for ms in range(1, 1001)) + "\n")
    return path


def test_energy_counts_what_the_device_did() -> None:
    """Computing, sending, waiting, each by its watts; a suffix that the device ran itself is computing."""
    assert frame_energy_j(FRAME, POWER, 0.1) == pytest.approx(0.12 * 10 + 0.2 * 4 + (0.1 + 0.08) * 1)
    here = replace(FRAME, answered_by="device")
    assert frame_energy_j(here, POWER, 0.1) == pytest.approx(0.17 * 10 + 0.2 * 4 + (0.1 + 0.03) * 1)


def test_late_and_unanswered_frames_are_missed() -> None:
    """By the deadline where there is one; a frame without answer always is."""
    assert missed(FRAME, 0.4)
    assert not missed(FRAME, 0.6)
    assert not missed(FRAME, None)
    assert missed(replace(FRAME, answered_by="nobody"), None)


def test_figures_are_those_of_the_frames() -> None:
    """Percentiles over answered frames, counts over all."""
    times = np.linspace(0.1, 1.0, 19)
    results = [replace(FRAME, id=i, total_s=float(t), cut=1 if i < 10 else 2) for i, t in enumerate(times)]
    results.append(replace(FRAME, id=19, answered_by="nobody", total_s=9.0, cut=2))
    frames = tuple(Answered(0.1 * (i + 1), result) for i, result in enumerate(reversed(results)))
    figures = summary(Replay(Outcome(PLAN, "onnx", dropped=3), frames, 2.0), POWER, 0.55)
    assert (figures["frames"], figures["unanswered"], figures["changes"], figures["dropped"]) == (20, 1, 0, 3)
    assert figures["missed"] == int((times > 0.55).sum()) + 1
    assert figures["mean_s"] == pytest.approx(times.mean())
    assert figures["p95_s"] == pytest.approx(np.percentile(times, 95))
    assert figures["frames_per_s"] == pytest.approx(19 / 2.0)
    assert [(row["cut"], row["frames"]) for row in shares(frames)] == [(2, 10), (1, 10)]
    assert series(frames, None)[0]["missed"]


def test_no_frame_at_all_is_no_division_by_zero() -> None:
    """An empty replay has figures without values."""
    figures = summary(Replay(Outcome(PLAN, "onnx"), (), 0.0), POWER, None)
    assert figures["mean_s"] is figures["energy_a_frame_j"] is None


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
