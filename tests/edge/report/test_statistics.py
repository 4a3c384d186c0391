"""What is kept of frames: exact counts, a bounded sample of durations, frames on disk, no outputs."""

import gc
import json
import weakref
from dataclasses import replace

import numpy as np
import pytest

from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.report.statistics import Results, summarize
from partway.tasks.classify import Classes
from partway.tasks.tensors import Tensors

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


def _boxes(index: int) -> FrameResult:
    """A frame of a model whose outputs are its answer."""
    outputs = {"y": np.full((1, 500), index, np.float32)}
    return replace(_result(index), outputs=outputs, answer=Tensors(outputs), picture=np.zeros((9, 9, 3), np.uint8))


@pytest.mark.parametrize("most_bytes", [1, 5_000, 1 << 24])
def test_answers_of_any_size_come_back_and_take_bounded_memory(most_bytes: int) -> None:
    """Large answers go to disk long before there are IN_MEMORY of them; the order stays."""
    kept = Results(most_bytes=most_bytes)
    given = [_boxes(index) if index % 2 else _result(index) for index in range(20)]
    for result in given:
        kept.add(result)
    assert list(kept.frames()) == json.loads(json.dumps([result.to_json() for result in given]))
    assert sum(len(entry) for entry in kept._recent if isinstance(entry, str)) <= most_bytes


def test_neither_answer_nor_picture_outlives_its_frame() -> None:
    """Both may be megabytes."""
    kept, result = Results(), _boxes(0)
    answer, picture = weakref.ref(result.answer.outputs["y"]), weakref.ref(result.picture)  # type: ignore
    kept.add(result)
    kept.add(replace(_result(1), picture=result.picture))
    del result
    gc.collect()
    assert (answer(), picture()) == (None, None)
