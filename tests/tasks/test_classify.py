"""The task classify."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from partway.tasks.classify import ENTRY, FEW, Classes
from partway.tasks.interface import OutputSpec

Top = tuple[tuple[str, int, float], ...]


def _top(scores: Any, **output: Any) -> Top:
    """The classes read in an output ``y`` with this entry in the plan."""
    task = ENTRY.make({"kind": "classify", "value": "y", **output}, [OutputSpec("y", "float32", (None, None))])
    found: Classes = task.decode({"y": scores}, None)  # type: ignore[assignment]
    return found.top


def _floats(values: list[Any]) -> "np.ndarray[Any, Any]":
    return np.array(values, np.float32)


def _softmax(scores: list[float]) -> list[float]:
    powers = [float(np.exp(score)) for score in scores]
    return [power / sum(powers) for power in powers]


def test_the_likeliest_three_come_first() -> None:
    """Labels, indices and probabilities, best first."""
    scores = [1.0, 3.0, 2.0, 0.0]
    top = _top(_floats([scores]), softmax=True, labels=["a", "b", "c", "d"])
    assert [(label, index) for label, index, _ in top] == [("b", 1), ("c", 2), ("a", 0)]
    assert [p for _, _, p in top] == pytest.approx([_softmax(scores)[index] for index in (1, 2, 0)], rel=1e-6)


def test_scores_that_are_probabilities_stay_what_they_are() -> None:
    """Without a softmax in the plan nothing is rescaled."""
    assert _top(_floats([0.25, 0.75])) == (("1", 1, 0.75), ("0", 0, 0.25))


def test_large_scores_do_not_overflow() -> None:
    """A softmax over scores in the thousands is still one."""
    (best, *_) = _top(_floats([5000, 4000]), softmax=True)
    assert best == ("0", 0, 1.0)


@pytest.mark.parametrize("classes", [2, FEW - 1, FEW, 1000])
def test_many_classes_are_ranked_as_few_are(classes: int) -> None:
    """Two ways to sort, one order."""
    scores = np.random.default_rng(0).permutation(classes).astype(np.float32)
    top = _top(scores)
    assert [p for _, _, p in top] == sorted(scores.tolist(), reverse=True)[:3]


def test_a_class_without_a_label_is_named_by_its_index() -> None:
    """Fewer labels than classes do no harm."""
    assert [label for label, _, _ in _top(_floats([0, 1]), labels=["zero"])] == ["1", "zero"]


def test_json_has_no_numbers_that_are_none() -> None:
    """A probability that is not finite is null, so that strict parsers can read the rest."""
    text = json.dumps(Classes((("a", 0, float("nan")), ("b", 1, 0.5))).to_json(), allow_nan=False)
    assert [entry["probability"] for entry in json.loads(text)["top"]] == [None, 0.5]


def test_two_answers_agree_if_their_best_class_is_the_same() -> None:
    """The order of the others does not matter."""
    task = ENTRY.make({"kind": "classify"}, [OutputSpec("y", "float32", (None, 3))])
    right = Classes((("a", 0, 0.9), ("b", 1, 0.1)))
    assert task.agreement(Classes((("a", 0, 0.5), ("c", 2, 0.4))), right) == 1
    assert task.agreement(Classes((("b", 1, 0.9), ("a", 0, 0.1))), right) == 0


def test_the_best_class_is_drawn_on_a_copy() -> None:
    """Only the corner changes; the picture that was given stays as it is."""
    picture = Image.new("RGB", (200, 100), "gray")
    task = ENTRY.make({"kind": "classify"}, [OutputSpec("y", "float32", (None, 3))])
    drawn = task.draw(picture, Classes((("cat", 0, 0.9),)))
    assert drawn.size == picture.size
    assert len(set(drawn.getdata())) > 1
    assert set(picture.getdata()) == {(128, 128, 128)}


@pytest.mark.parametrize(
    ("scores", "softmax", "certain"),
    [
        ([0.25, 0.75], False, True),
        ([0.25, 0.70], True, False),
        ([0.25, 0.72265625], False, True),
        ([3, 1, -2], True, False),
        ([0.6, -0.8], True, False),
    ],
)
def test_probabilities_leave_no_doubt(scores: list[float], softmax: bool, certain: bool) -> None:
    """Those of quantised models, in 256 steps, sum up to about 1."""
    guess = ENTRY.recognise({"y": _floats([scores])}, None)
    assert guess is not None
    assert (guess.output["softmax"], guess.certain, guess.output["classes"]) == (softmax, certain, len(scores))
