"""What is kept of frames: exact counts, a bounded sample of durations, frames on disk, no outputs."""

import gc
import io
import json
import tempfile
import weakref
from pathlib import Path

import numpy as np
import pytest

from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.report.statistics import Results, summarize
from partway.tasks.classify import Classes

PARTS = dict.fromkeys(("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s"), 0.001)


class Output(np.ndarray):
    """An array whose end can be seen."""


def _result(index: int, by: str = "cloud") -> FrameResult:
    outputs = {"y": np.zeros((1, 1000), np.float32).view(Output)}
    answer = Classes((("yes", 1, 0.75),))
    times = {**PARTS, "total_s": index / 1e3}
    return FrameResult(
        index, f"{index}.png", 1, "raw", 100, 50, **times, answered_by=by, outputs=outputs, answer=answer
    )


@pytest.mark.parametrize("held", [0, 3, 1000])
def test_frames_come_back_as_they_were_whether_from_memory_or_disk(held: int) -> None:
    kept, given = Results(in_memory=held), [_result(index) for index in range(20)]
    for result in given:
        kept.add(result)
    assert list(kept.frames()) == json.loads(json.dumps([result.to_json() for result in given]))
    assert [frame["id"] for frame in kept.frames()] == list(range(20)), "they can be read twice"


def test_no_output_outlives_its_frame() -> None:
    """A detector's outputs are megabytes a frame; a camera has no last frame."""
    kept, result = Results(), _result(0)
    output = weakref.ref(result.outputs["y"])
    kept.add(result)
    del result
    gc.collect()
    assert output() is None
    assert next(kept.frames())["top"] == [{"label": "yes", "index": 1, "probability": 0.75}]


def test_counts_are_exact_and_durations_a_fair_sample_beyond_the_limit() -> None:
    """10,000 frames, 1,000 durations kept: percentiles within a few points of those of all."""
    kept = Results(frames=False, sampled=1000)
    for index in range(10_000):
        kept.add(_result(index, (NOBODY, "device", "cloud", "cloud")[index % 4]))
    found = kept.summary(2.0)
    assert (len(kept), found["answered"], found["unanswered"]) == (10_000, 7_500, 2_500)
    assert (found["by_cloud"], found["by_device"], found["bytes_sent"]) == (5_000, 2_500, 1_000_000)
    assert found["p50_s"] == pytest.approx(5.0, rel=0.1)
    assert found["p90_s"] == pytest.approx(9.0, rel=0.05)
    assert list(kept.frames()) == []


def test_below_the_limit_percentiles_are_those_of_all() -> None:
    given = [_result(index) for index in range(101)]
    assert summarize(given, 1.0)["p90_s"] == pytest.approx(0.09)


def test_a_full_disk_costs_old_frames_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames that were stored and those in memory remain; counts stay exact; one warning says what is missing."""
    kept = Results(in_memory=3)
    for index in range(5):
        kept.add(_result(index))
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(kept, "_file", full)
        for index in range(5, 20):
            kept.add(_result(index))
    assert (len(kept), kept.not_stored) == (20, 15)
    assert len(caplog.messages) == 1
    assert "No space left on device" in caplog.messages[0]


def test_a_frame_that_only_partly_fits_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back is whole lines."""

    class Small(io.BytesIO):
        room = 1000

        def write(self, line: bytes) -> int:  # type: ignore[override]
            fits = min(len(line), self.room - self.tell())
            return super().write(line[:fits])

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Small())
    kept = Results(in_memory=2)
    for index in range(20):
        kept.add(_result(index))
    read = [frame["id"] for frame in kept.frames()]
    assert read[-2:] == [18, 19]
    assert read[:-2] == list(range(20 - 2 - kept.not_stored))
    assert 0 < kept.not_stored < 18
