"""What a frame's answer says."""

import json
from typing import Any

import numpy as np
import pytest

from partway.edge.pipeline.result import FEW, FrameResult, Reader
from partway.proto.tensors import Quantization, TensorSpec


def _reader(**output: Any) -> Reader:
    return Reader({"kind": "classify", "value": "y", **output}, ("y",))


def _floats(values: list[Any]) -> "np.ndarray[Any, Any]":
    return np.array(values, np.float32)


def _softmax(scores: list[float]) -> list[float]:
    powers = [float(np.exp(score)) for score in scores]
    return [power / sum(powers) for power in powers]


def test_the_likeliest_three_come_first() -> None:
    """Labels, indices and probabilities, best first."""
    scores = [1.0, 3.0, 2.0, 0.0]
    top = _reader(softmax=True, labels=["a", "b", "c", "d"]).top({"y": _floats([scores])})
    assert [(label, index) for label, index, _ in top] == [("b", 1), ("c", 2), ("a", 0)]
    assert [p for _, _, p in top] == pytest.approx([_softmax(scores)[index] for index in (1, 2, 0)], rel=1e-6)


def test_scores_that_are_probabilities_stay_what_they_are() -> None:
    """Without a softmax in the plan nothing is rescaled."""
    assert _reader().top({"y": _floats([0.25, 0.75])}) == (("1", 1, 0.75), ("0", 0, 0.25))


def test_large_scores_do_not_overflow() -> None:
    """A softmax over scores in the thousands is still one."""
    (best, *_) = _reader(softmax=True).top({"y": _floats([5000, 4000])})
    assert best == ("0", 0, 1.0)


@pytest.mark.parametrize("classes", [2, FEW - 1, FEW, 1000])
def test_many_classes_are_ranked_as_few_are(classes: int) -> None:
    """Two ways to sort, one order."""
    scores = np.random.default_rng(0).permutation(classes).astype(np.float32)
    top = _reader().top({"y": scores})
    assert [p for _, _, p in top] == sorted(scores.tolist(), reverse=True)[:3]


def test_a_class_without_a_label_is_named_by_its_index() -> None:
    """Fewer labels than classes do no harm."""
    assert [label for label, _, _ in _reader(labels=["zero"]).top({"y": _floats([0, 1])})] == ["1", "zero"]


@pytest.mark.parametrize("reader", [Reader({}, ("y",)), _reader(value="other"), Reader({"kind": "boxes"}, ("y",))])
def test_what_is_no_classifier_has_no_top(reader: Reader) -> None:
    """Other outputs are left to their users."""
    assert reader.top({"y": _floats([0, 1])}) == ()


def test_json_has_no_numbers_that_are_none() -> None:
    """A probability that is not finite is null, so that strict parsers can read the rest."""
    top = (("a", 0, float("nan")), ("b", 1, 0.5))
    zeros: list[Any] = [0.0] * 7
    known: list[Any] = [0, "f", 1, "raw", 1, 1, *zeros, "cloud", {}, top]
    result = FrameResult(*known)
    text = json.dumps(result.to_json(), allow_nan=False)
    assert [entry["probability"] for entry in json.loads(text)["top"]] == [None, 0.5]


@pytest.mark.parametrize("classes", [4, 100])
@pytest.mark.parametrize("softmax", [True, False])
def test_integers_of_a_quantised_model_are_read_as_what_they_stand_for(classes: int, softmax: bool) -> None:
    """Scale and zero point are applied before the probabilities are made, for few classes and for many."""
    spec = TensorSpec("y", "int8", (None, classes), Quantization((0.25,), (-3,)))
    reader = Reader({"kind": "classify", "value": "y", "softmax": softmax}, ("y",), {"y": spec})
    integers = np.full((1, classes), -128, np.int8)
    integers[0, :3] = 5, 9, 1
    real = 0.25 * (integers[0].astype(np.float64) + 3)
    expected = np.exp(real) / np.exp(real).sum() if softmax else real
    assert [index for _, index, _ in reader.top({"y": integers})] == [1, 0, 2]
    assert [p for *_, p in reader.top({"y": integers})] == pytest.approx(expected[[1, 0, 2]].tolist())
