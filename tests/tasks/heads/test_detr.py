"""DETR and its kin."""

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.heads.detr import HEADS, recognise
from partway.tasks.heads.head import Reading
from partway.tasks.heads.yolo_guess import recognise as recognise_yolo

Array = np.ndarray[Any, Any]
SIZE = (100, 200)


def _queries(count: int = 100) -> Array:
    boxes = np.random.default_rng(0).random((1, count, 4)).astype(np.float32) * 0.5
    boxes[0, 7] = [0.5, 0.5, 0.2, 0.4]
    return boxes


@pytest.mark.parametrize(
    ("classes", "activation", "certain"), [(92, "softmax", False), (80, "sigmoid", False), (80, "", True)]
)
def test_two_outputs_are_boxes_and_scores(classes: int, activation: str, certain: bool) -> None:
    """DETR's last class is nothing; RT-DETR's scores are one by one; both leave a doubt unless they are 0 to 1."""
    scores = np.full((1, 100, classes), -9.0 if activation else 0.01, np.float32)
    if activation == "softmax":
        scores[..., -1] = 5
    scores[0, 7, 3] = 15 if activation else 0.95
    outputs = {"logits": scores, "pred_boxes": _queries()}
    (guess,) = recognise(outputs, SIZE)
    assert (guess.output["activation"], guess.certain) == (activation, certain)
    assert guess.output["classes"] == (91 if activation == "softmax" else 80)
    found = HEADS["detr"].read(outputs, Reading(guess.output["values"], guess.output, SIZE))
    assert np.unravel_index(found.scores.argmax(), found.scores.shape) == (7, 3)
    assert found.scores.max() > 0.9
    np.testing.assert_allclose(found.boxes[7], [80, 30, 120, 70], rtol=1e-5)
    assert found.final


def test_one_output_has_the_box_first() -> None:
    """As Ultralytics exports RT-DETR: [1, 300, 4 + classes]. It is no YOLO."""
    scores = np.full((1, 300, 80), 0.01, np.float32)
    scores[0, 7, 3] = 0.9
    outputs = {"y": np.concatenate([_queries(300), scores], 2)}
    (guess,) = recognise(outputs, (640, 640))
    assert (guess.certain, guess.output["classes"]) == (True, 80)
    assert recognise_yolo(outputs, (640, 640)) == []
    found = HEADS["detr"].read(outputs, Reading(guess.output["values"], guess.output, SIZE))
    np.testing.assert_allclose(found.boxes[7], [80, 30, 120, 70], rtol=1e-5)


@pytest.mark.parametrize(
    "outputs",
    [
        {"a": np.zeros((1, 100, 80), np.float32), "b": _queries() * 200},
        {"a": np.zeros((1, 90, 80), np.float32), "b": _queries()},
        {"a": np.zeros((1, 4, 4, 4), np.float32), "b": _queries()},
        {"y": np.zeros((1, 300, 84), np.float32)},
    ],
)
def test_other_outputs_are_no_queries(outputs: dict[str, Array]) -> None:
    """Boxes in pixels, other lengths, other axes, boxes without a place."""
    assert recognise(outputs, SIZE) == []


def test_lengths_that_differ_are_refused() -> None:
    """Both are named."""
    reading = Reading({"boxes": "b", "scores": "s"}, {}, SIZE)
    with pytest.raises(InputError, match="'b' 100, 's' 90"):
        HEADS["detr"].read({"b": _queries(), "s": np.zeros((1, 90, 80))}, reading)
