"""How much of the answers coded frames keep, by a task that finds things: what counts, and what tells nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.calibrate.accuracy import CalibrationFrame, measure_codec, unsplit_answers
from partway.partitioner.calibrate.agreement import Agreement, Answers
from partway.partitioner.plan.answer import AnswerReader
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.pictures.reading import read_picture
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.slicing import make_plan
from partway.partitioner.zoo import model_folder
from partway.proto.codecs.image import decode_image, encode_image
from partway.tasks.detect import Boxes

Array = np.ndarray[Any, Any]
PLAN = load_plan(model_folder("mnist"))


@dataclass(frozen=True)
class Peaks:
    """Where values are large."""

    places: frozenset[int]

    def to_json(self) -> dict[str, Any]:
        return {"peaks": sorted(self.places)}

    @property
    def line(self) -> str:
        return str(len(self.places))


class FindPeaks:
    """F1 of the places above 0.5; a NaN cannot be read."""

    name = "peaks"

    def decode(self, outputs: Mapping[str, Array], geometry: Any = None) -> Peaks:
        if np.isnan(outputs["y"]).any():
            raise ZeroDivisionError("no peak")
        return Peaks(frozenset(np.flatnonzero(outputs["y"] > 0.5).tolist()))

    def agreement(self, result: Peaks, reference: Peaks) -> float:
        both = len(result.places) + len(reference.places)
        return 2 * len(result.places & reference.places) / both if both else 1.0

    def draw(self, picture: Any, result: Any) -> Any:
        return picture


def peaks_reader() -> AnswerReader:
    """Reads peaks, whatever the plan says."""
    reader = AnswerReader(PLAN)
    reader.task = FindPeaks()
    return reader


def frames(*rows: list[float]) -> list[dict[str, Array]]:
    """An output ``y`` a frame."""
    return [{"y": np.array([row])} for row in rows]


def test_frames_in_which_neither_finds_anything_do_not_count() -> None:
    """Two empty answers are equal, and tell nothing of the codec."""
    answers = Answers(peaks_reader(), frames([1, 1], [0, 0], [0, 0]))
    found = answers.agreement(frames([1, 0], [0, 0], [0, 1]))
    assert (found.frames, found.total, found.weight) == (2, pytest.approx(1.0), pytest.approx(2.0))


def test_every_thing_counts_the_same_in_whichever_frame_it_is() -> None:
    """The mean over all frames is the F1 of all places together."""
    exact = frames([1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0])
    coded = frames([1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1])
    same, in_both = 3, 4 + 3 + 1 + 1 + 0 + 1
    assert Answers(peaks_reader(), exact).agreement(coded).mean == pytest.approx(2 * same / in_both)


def test_without_anything_to_find_there_is_no_agreement() -> None:
    """None, not 1."""
    assert Answers(peaks_reader(), frames([0, 0])).agreement(frames([0.4, 0])).mean is None
    assert Agreement(0.0, 0.0, 0).mean is None


def test_an_answer_that_cannot_be_read_keeps_nothing() -> None:
    """The codec damaged it; no exception of the task reaches anybody."""
    found = Answers(peaks_reader(), frames([1, 1], [1, 0])).agreement(frames([float("nan"), 1], [1, 0]))
    assert (found.total, found.weight, found.frames) == (1.0, 2.0, 2)


def test_exact_answers_that_cannot_be_read_are_an_error() -> None:
    """The plan's task does not fit the model: no codec is to blame."""
    with pytest.raises(InputError, match="logits"):
        Answers(AnswerReader(PLAN), [{"logits": np.zeros((1, 0), np.float32)}])


def test_classes_and_tensors_always_tell_something() -> None:
    """A classifier's answer is never empty, and tensors of zeros are values."""
    scores = [{"logits": np.eye(10, dtype=np.float32)[None, row]} for row in range(4)]
    answers = Answers(AnswerReader(PLAN), scores)
    found = answers.agreement([scores[0], scores[1], scores[0], scores[0]])
    assert (found.mean, found.frames, found.weight) == (0.5, 4, 4.0)
    zeros = [{"logits": np.zeros((1, 10), np.float32)}]
    found = Answers(AnswerReader(replace(PLAN, output={})), zeros).agreement(zeros)
    assert (found.mean, found.frames) == (1.0, 1)


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=3), min_size=1, max_size=8))
def test_exact_values_agree_wholly(rows: list[list[float]]) -> None:
    """Whatever is found, the mean is 1 or unknown."""
    found = Answers(peaks_reader(), frames(*rows)).agreement(frames(*rows))
    assert found.mean in (1.0, None)
    assert found.frames == sum(any(row) for row in rows)


def test_agreements_stay_between_0_and_1() -> None:
    """Whatever a task of another package gives."""
    reader = peaks_reader()
    for given_share, counted in ((1.5, 1.0), (-1.0, 0.0), (float("nan"), 0.0)):
        reader.task.agreement = lambda result, reference, share=given_share: share  # type: ignore[method-assign,misc]
        assert Answers(reader, frames([1, 0])).agreement(frames([1, 0])).mean == counted


def iou(one: Array, other: Array) -> float:
    """Of two boxes as corners."""
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    both = max(0.0, right - left) * max(0.0, bottom - top)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(both / (sum(areas) - both))


def matches(found: Boxes, right: Boxes) -> int:
    """How many found boxes have one of the right ones of their class to themselves, the surest first."""
    open_ones = list(range(len(right)))
    for box in np.argsort(-found.scores, kind="stable"):
        same = [at for at in open_ones if right.classes[at] == found.classes[box]]
        best = max(same, key=lambda at: iou(found.xyxy[box], right.xyxy[at]), default=None)
        if best is not None and iou(found.xyxy[box], right.xyxy[best]) >= 0.5:
            open_ones.remove(best)
    return len(right) - len(open_ones)


def test_of_a_real_detector_it_is_the_f1_of_all_its_boxes(data: Path, tmp_path: Path) -> None:
    """YOLOX-nano on photographs in JPEG, against the boxes of the plain runtime, matched here once more."""
    model, folder = data / "models/yolox_nano.onnx", data / "imagenet"
    if not model.is_file():
        pytest.skip("models/yolox_nano.onnx is not among the reference data")
    runtime = onnxruntime.InferenceSession(model)
    preprocess = Preprocess("images", 416, 416, 3, scale=1.0, order="BGR", fit="letterbox-114-topleft")
    pixels = [read_picture(file, preprocess)[0] for file in sorted(folder.glob("*.JPEG"))[5::25]]
    task = {"kind": "detect", "head": "yolox", "values": {"boxes": "output"}, "size": [416, 416], "classes": 80}
    sliced = make_plan(model, tmp_path, (), input=preprocess.to_json(), output=task)
    chain = load_folder(tmp_path, sliced, engine_for("onnx", 1))
    frames = [CalibrationFrame({"images": preprocess.tensor(one)}, one) for one in pixels]
    unsplit = unsplit_answers(chain, frames)
    lives = [dict(frame.values) for frame in frames]
    entry, raw = (measure_codec(chain, preprocess, unsplit, lives, 0, codec) for codec in ("jpeg75", "raw"))

    def boxes(one: Array) -> Boxes:
        answer = runtime.run(None, {"images": preprocess.tensor(one)})
        return AnswerReader(chain.plan).task.decode({"output": answer[0]}, None)  # type: ignore[return-value]

    right = [boxes(one) for one in pixels]
    coded = [boxes(decode_image("jpeg75", memoryview(encode_image("jpeg75", one)), one.shape)) for one in pixels]
    pairs = list(zip(coded, right, strict=True))
    held = sum(len(one) for pair in pairs for one in pair)
    assert held > 20
    assert entry["agreement"] == pytest.approx(2 * sum(matches(*pair) for pair in pairs) / held)
    assert entry["compared"] == sum(bool(len(a) or len(b)) for a, b in pairs) < len(pixels)
    assert 1 - entry["relative_error"] < 0.9
    assert (raw["agreement"], raw["relative_error"]) == (1.0, 0.0)
