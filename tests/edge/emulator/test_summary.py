"""The figures of a replay: counts, percentiles, energy and shares of the splits, as data and as tables."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from partway.edge.emulator.replay import Answered, Replay
from partway.edge.emulator.summary import frame_energy_j, missed, series, shares, summary, tables
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.report.run_json import RunReport
from partway.partitioner.decide.power import Power
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))
POWER = Power("test", compute_w=10.0, send_w=4.0, wait_w=1.0)
FRAME = FrameResult(0, "a", 1, "raw", 100, 20, 0.1, 0.02, 0.3, 0.01, 0.02, 0.05, 0.5, "cloud", {})


def text_of(figures: dict[str, Any], splits: list[dict[str, Any]], stages: int = 3) -> str:
    """Both tables as a terminal shows them."""
    console = Console(file=io.StringIO(), width=100)
    for table in tables(figures, splits, stages):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


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
    figures = summary(Replay(RunReport(PLAN, "onnx", dropped=3), frames, 2.0), POWER, 0.55)
    assert (figures["frames"], figures["unanswered"], figures["changes"], figures["dropped"]) == (20, 1, 0, 3)
    assert figures["missed"] == int((times > 0.55).sum()) + 1
    assert figures["mean_s"] == pytest.approx(times.mean())
    assert figures["p95_s"] == pytest.approx(np.percentile(times, 95))
    assert figures["frames_per_s"] == pytest.approx(19 / 2.0)
    assert [(row["cut"], row["frames"]) for row in shares(frames)] == [(2, 10), (1, 10)]
    assert series(frames, None)[0]["missed"]


def test_no_frame_at_all_is_no_division_by_zero() -> None:
    """An empty replay has figures without values."""
    figures = summary(Replay(RunReport(PLAN, "onnx"), (), 0.0), POWER, None)
    assert figures["mean_s"] is figures["energy_a_frame_j"] is None


def test_bytes_and_energy_are_counted_over_unanswered_frames_too() -> None:
    """A frame that nobody answered cost what it sent, though it has no part in the seconds."""
    nobody = replace(FRAME, answered_by=NOBODY, bytes_sent=500, bytes_received=0, total_s=9.0)
    figures = summary(Replay(RunReport(PLAN, "onnx"), (Answered(1.0, FRAME), Answered(2.0, nobody)), 2.0), POWER, None)
    assert figures["bytes_a_frame"] == (120 + 500) / 2
    assert figures["energy_a_frame_j"] == pytest.approx(frame_energy_j(FRAME, POWER, 0.0))
    assert figures["p99_s"] == figures["mean_s"] == 0.5
    assert figures["frames_per_s"] == 0.5


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, "raw", "u8"]), st.floats(0.001, 9)), max_size=40))
def test_every_frame_is_in_one_share(drawn: list[tuple[int, str | None, float]]) -> None:
    """The shares add up to all frames, the most frequent split first, each with the mean of its own frames."""
    frames = [Answered(0.0, replace(FRAME, cut=cut, codec=codec, total_s=s)) for cut, codec, s in drawn]
    rows = shares(frames)
    counts = [row["frames"] for row in rows]
    assert sum(counts) == len(frames)
    assert counts == sorted(counts, reverse=True)
    assert len({(row["cut"], row["codec"]) for row in rows}) == len(rows)
    for row in rows:
        own = [s for cut, codec, s in drawn if (cut, codec) == (row["cut"], row["codec"])]
        assert row["mean_s"] == pytest.approx(np.mean(own))


def test_the_series_has_every_frame_in_its_order() -> None:
    """A line a frame, with who answered, when and in how long; missed is by this deadline."""
    late = replace(FRAME, cut=3, codec=None, answered_by="device", total_s=0.7)
    rows = series([Answered(0.12345678, FRAME), Answered(0.9, late)], 0.6)
    assert rows == [
        {"at_s": 0.123457, "cut": 1, "codec": "raw", "answered_by": "cloud", "total_s": 0.5, "missed": False},
        {"at_s": 0.9, "cut": 3, "codec": None, "answered_by": "device", "total_s": 0.7, "missed": True},
    ]


def test_the_tables_name_the_ends_and_show_units() -> None:
    """Split 0 is the cloud and the last one the device; seconds, bytes and joules have their units."""
    whole = [Answered(0.1, replace(FRAME, cut=cut, codec=codec)) for cut, codec in ((0, "u8"), (3, None), (1, "raw"))]
    figures = summary(Replay(RunReport(PLAN, "onnx", dropped=7), tuple(whole), 1.5), POWER, None)
    text = text_of(figures, shares(whole))
    lines = [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]
    assert "frames 3 (3 by cloud, 0 by device, 0 unanswered)" in lines
    assert "frames/s 2" in lines
    assert "p95 500 ms" in lines
    assert "dropped before they began 7" in lines
    assert "sent and received a frame 120 B" in lines
    assert {"0 cloud u8 1 500 ms", "3 device - 1 500 ms", "1 raw 1 500 ms"} <= set(lines)


def test_the_tables_of_no_frame_have_dashes() -> None:
    """What was not measured is a dash, not a zero."""
    text = text_of(summary(Replay(RunReport(PLAN, "onnx"), (), 0.0), POWER, None), [])
    lines = [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]
    assert {"mean -", "p50 -", "energy a frame (estimate) -", "frames/s 0"} <= set(lines)
