"""YOLO heads: which one an output is, and what it reads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import CLASSES, SIZE, unit, yolov5, yolov8, yolox

from partway.errors import InputError
from partway.tasks.arrays.boxes import upright
from partway.tasks.heads.head import Reading
from partway.tasks.heads.yolo import HEADS
from partway.tasks.heads.yolo_guess import recognise

Array = np.ndarray[Any, Any]
BOXES = np.array([[10, 12, 50, 60], [70, 20, 120, 90.0]])
SCORES, KINDS = np.array([0.8, 0.6]), np.array([2, 5])
MAKERS: dict[str, Callable[..., Array]] = {"yolov8": yolov8, "yolov5": yolov5, "yolox": yolox}


def _found(output: Array, entry: dict[str, Any]) -> tuple[Array, Array, Array]:
    """Boxes, scores and classes above one half, best first."""
    reading = Reading({"boxes": "y"}, entry, SIZE)
    candidates = HEADS[entry["head"]].read({"y": output}, reading)
    best = candidates.scores.max(1)
    rows = np.argsort(-best)[: int((best > 0.5).sum())]
    return candidates.boxes[rows], best[rows], candidates.scores[rows].argmax(1)


@pytest.mark.parametrize("name", MAKERS)
def test_each_head_is_recognised_and_read(name: str) -> None:
    """By the output's shape and values alone, without doubt."""
    output = MAKERS[name](BOXES, SCORES, KINDS)
    (guess,) = recognise({"y": output}, SIZE)
    assert (guess.output["head"], guess.certain, guess.output["classes"]) == (name, True, CLASSES)
    boxes, scores, classes = _found(output, dict(guess.output))
    np.testing.assert_allclose(boxes, BOXES, rtol=1e-4)
    np.testing.assert_allclose(scores, SCORES, rtol=1e-5)
    assert classes.tolist() == KINDS.tolist()


@pytest.mark.parametrize("name", ["yolov8", "yolov5"])
def test_coordinates_of_0_to_1_are_seen(name: str) -> None:
    """As in TFLite exports."""
    output = MAKERS[name](BOXES, SCORES, KINDS).copy()
    table = output[0].T if name == "yolov8" else output[0]
    table[:, :4] = unit(table[:, :4])
    (guess,) = recognise({"y": output}, SIZE)
    assert guess.output["unit"]
    np.testing.assert_allclose(_found(output, dict(guess.output))[0], BOXES, rtol=1e-4)


def test_scores_that_are_no_probabilities_get_a_sigmoid() -> None:
    """And leave a doubt."""
    output = yolov8(BOXES, SCORES, KINDS)
    output[:, 4:] = np.log(output[:, 4:] / (1 - output[:, 4:]))
    (guess,) = recognise({"y": output}, SIZE)
    assert (guess.output["logits"], guess.certain) == (True, False)
    np.testing.assert_allclose(_found(output, dict(guess.output))[1], SCORES, rtol=1e-5)


def test_decoded_rows_with_one_anchor_a_cell_have_two_readings() -> None:
    """With an objectness or without."""
    output = yolov8(BOXES, SCORES, KINDS).transpose(0, 2, 1)
    found = recognise({"y": output}, SIZE)
    assert [(guess.output["head"], guess.certain) for guess in found] == [("yolov5", False), ("yolov8", False)]
    np.testing.assert_allclose(_found(output, dict(found[1].output))[0], BOXES, rtol=1e-4)


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": np.zeros((1, 100, 91), np.float32)},
        {"logits": np.zeros((1, 100, 92), np.float32), "boxes": np.zeros((1, 100, 4), np.float32)},
        {"y": np.zeros((1, 252, 4), np.float32)},
        {"y": np.full((1, 10, 252), np.nan, np.float32)},
        {"y": yolov8(BOXES, SCORES, KINDS), "prototypes": np.zeros((1, 32, 24, 32), np.float32)},
        {"y": np.zeros((1, 10, 252), np.int64)},
    ],
)
def test_other_outputs_are_no_yolo(outputs: dict[str, Array]) -> None:
    """Queries of a DETR, boxes without scores, no numbers, a second output, integers."""
    assert recognise(outputs, SIZE) == []


def test_raw_maps_beside_the_boxes_are_passed_over() -> None:
    """YOLOv5 exports them as further outputs of five axes."""
    maps = {"p3": np.zeros((1, 3, 12, 16, 11)), "p4": np.zeros((1, 3, 6, 8, 11)), "p5": np.zeros((1, 3, 3, 4, 11))}
    (guess,) = recognise({"y": yolov5(BOXES, SCORES, KINDS), **maps}, SIZE)
    assert guess.output["head"] == "yolov5"


def test_outputs_of_another_shape_are_refused() -> None:
    """Too few channels; anchors that no grid of the input has."""
    with pytest.raises(InputError, match="has 4 channels, a yolov8 head has more than 4"):
        HEADS["yolov8"].read({"y": np.zeros((1, 4, 9))}, Reading({"boxes": "y"}, {}, SIZE))
    with pytest.raises(InputError, match="9 anchors, which is no sum of grids of an input of 96 x 128"):
        HEADS["yolox"].read({"y": np.zeros((1, 9, 10))}, Reading({"boxes": "y"}, {}, SIZE))


def test_a_turned_box_has_an_upright_one_around_it() -> None:
    """A quarter of a turn swaps the sides."""
    boxes = np.array([[50, 40, 20, 10.0]] * 3)
    found = upright(boxes, np.array([0, np.pi / 2, np.pi / 4]))
    side = 30 / np.sqrt(2)
    np.testing.assert_allclose(found, [[50, 40, 20, 10], [50, 40, 10, 20], [50, 40, side, side]])
    output = yolov8(BOXES, SCORES, KINDS)
    turned = np.concatenate([output, np.full((1, 1, output.shape[2]), np.pi / 2, np.float32)], 1)
    middle, sides = (BOXES[0, :2] + BOXES[0, 2:]) / 2, (BOXES[0, 2:] - BOXES[0, :2])[::-1]
    first = _found(turned, {"head": "yolov8", "angle": True})[0][0]
    np.testing.assert_allclose(first, [*(middle - sides / 2), *(middle + sides / 2)], rtol=1e-4)
