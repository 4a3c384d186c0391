"""Models that end in their own suppression."""

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.heads.ended import HEADS, recognise_lists, recognise_rows
from partway.tasks.heads.head import Reading

Array = np.ndarray[Any, Any]
SIZE = (100, 200)
BOXES = np.array([[20, 10, 60, 50], [100, 20, 180, 90.0]], np.float32)


def _read(outputs: dict[str, Array], guess: Any) -> tuple[list[Any], list[Any], list[Any]]:
    head = HEADS[guess.output["head"]]
    found = head.read(outputs, Reading(guess.output["values"], guess.output, SIZE))
    assert found.final
    assert found.classes is not None
    return found.boxes.round(3).tolist(), found.scores[:, 0].astype(float).round(3).tolist(), found.classes.tolist()


@pytest.mark.parametrize("order", ["boxes, classes, scores, count", "scores, boxes, count, classes"])
def test_tensorflow_s_lists_are_read_in_any_order(order: str) -> None:
    """Boxes from the top, in 0 to 1; only as many as the count says."""
    unit = BOXES[:, [1, 0, 3, 2]] / np.array([100, 200, 100, 200])
    parts = {
        "boxes": np.concatenate([unit, np.zeros((1, 4))])[None].astype(np.float32),
        "classes": np.array([[0, 16, 3]], np.float32),
        "scores": np.array([[0.9, 0.7, 0.4]], np.float32),
        "count": np.array([2], np.float32),
    }
    outputs = {f"out:{place}": parts[part] for place, part in enumerate(order.split(", "))}
    (guess,) = recognise_lists(outputs, SIZE)
    assert guess.certain
    assert _read(outputs, guess) == (BOXES.tolist(), [0.9, 0.7], [0, 16])


def test_tensorflow_s_names_are_known_among_further_outputs() -> None:
    """As converters to ONNX keep them."""
    unit = (BOXES[:, [1, 0, 3, 2]] / np.array([100, 200, 100, 200]))[None].astype(np.float32)
    outputs = {
        "detection_anchor_indices": np.zeros((1, 2), np.float32),
        "detection_boxes": unit,
        "detection_classes": np.array([[1, 17]], np.float32),
        "detection_scores": np.array([[0.9, 0.7]], np.float32),
        "num_detections": np.array([2], np.float32),
        "raw_detection_boxes": np.zeros((1, 99, 4), np.float32),
    }
    (guess,) = recognise_lists(outputs, SIZE)
    assert _read(outputs, guess) == (BOXES.tolist(), [0.9, 0.7], [1, 17])


def test_torchvision_s_lists_have_whole_labels_and_no_count() -> None:
    """In pixels; also where nothing is found."""
    outputs = {"boxes": BOXES, "labels": np.array([1, 18]), "scores": np.array([0.9, 0.7], np.float32)}
    (guess,) = recognise_lists(outputs, SIZE)
    assert guess.certain
    assert _read(outputs, guess) == (BOXES.tolist(), [0.9, 0.7], [1, 18])
    empty = {name: array[:0] for name, array in outputs.items()}
    (again,) = recognise_lists(empty, SIZE)
    assert _read(empty, again) == ([], [], [])


def test_tensorrt_s_lists_have_a_whole_count() -> None:
    """One found of four."""
    boxes = np.zeros((1, 4, 4), np.float32)
    boxes[0, :2] = BOXES
    outputs = {
        "num_dets": np.array([[1]], np.int32),
        "det_boxes": boxes,
        "det_scores": np.array([[0.9, 0, 0, 0]], np.float32),
        "det_classes": np.array([[7, 0, 0, 0]], np.int32),
    }
    (guess,) = recognise_lists(outputs, SIZE)
    assert _read(outputs, guess) == ([BOXES[0].tolist()], [0.9], [7])


ROWS = {
    "xyxysc": np.array([[20, 10, 60, 50, 0.9, 3], [100, 20, 180, 90, 0.7, 0]], np.float32),
    "bxyxycs": np.array([[0, 20, 10, 60, 50, 3, 0.9], [0, 100, 20, 180, 90, 0, 0.7]], np.float32),
    "byxyxsc": np.array([[0, 10, 20, 50, 60, 0.9, 3], [0, 20, 100, 90, 180, 0.7, 0]], np.float32),
    "csxyxy": np.array([[3, 0.9, 20, 10, 60, 50], [0, 0.7, 100, 20, 180, 90]], np.float32),
}


@pytest.mark.parametrize("columns", ROWS)
@pytest.mark.parametrize("batch", [True, False])
def test_rows_are_read_in_the_order_that_their_values_tell(columns: str, batch: bool) -> None:
    """YOLOv10's, YOLOv7's, EfficientDet's and PaddleDetection's."""
    outputs = {"y": ROWS[columns][None] if batch else ROWS[columns]}
    (guess,) = recognise_rows(outputs, SIZE)
    assert (guess.output["columns"], guess.certain) == (columns, True)
    assert _read(outputs, guess) == (BOXES.tolist(), [0.9, 0.7], [3, 0])


def test_rows_of_0_to_1_are_scaled() -> None:
    """Corners that are shares of the input."""
    table = ROWS["xyxysc"].copy()
    table[:, :4] /= np.array([200, 100, 200, 100])
    (guess,) = recognise_rows({"y": table}, SIZE)
    assert _read({"y": table}, guess)[0] == BOXES.tolist()


def test_centres_are_told_from_corners() -> None:
    """By sides that are smaller than the centre's place; as RT-DETR's."""
    table = np.array([[0.7, 0.5, 0.4, 0.6, 0.9, 3], [0.2, 0.3, 0.2, 0.4, 0.7, 0]], np.float32)
    (guess,) = recognise_rows({"y": table}, SIZE)
    assert (guess.output["centres"], guess.output["unit"], guess.certain) == (True, True, True)
    assert _read({"y": table}, guess)[0] == [[100, 20, 180, 80], [20, 10, 60, 50]]


def test_turned_boxes_get_an_upright_one_around_them() -> None:
    """A quarter of a turn swaps the sides."""
    table = np.array([[50, 40, 20, 10, 0.9, 3, np.pi / 2]], np.float32)
    found = HEADS["rows"].read({"y": table}, Reading({"rows": "y"}, {"centres": True, "angle": True}, SIZE))
    np.testing.assert_allclose(found.boxes, [[45, 30, 55, 50]], rtol=1e-5)


def test_no_rows_leave_a_doubt() -> None:
    """An empty table may be either order."""
    found = recognise_rows({"y": np.zeros((1, 0, 6), np.float32)}, SIZE)
    assert [(guess.output["columns"], guess.certain) for guess in found] == [("xyxysc", False), ("csxyxy", False)]


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": np.full((1, 5, 6), 0.5, np.float32)},
        {"y": np.full((1, 5, 6), np.nan, np.float32)},
        {"y": np.zeros((1, 5, 9), np.float32)},
        {"y": np.zeros((3, 4), np.float32), "z": np.zeros((4, 4), np.float32)},
    ],
)
def test_other_tables_are_no_boxes(outputs: dict[str, Array]) -> None:
    """Class numbers are whole, corners in order."""
    assert recognise_rows(outputs, SIZE) == recognise_lists(outputs, SIZE) == []


def test_lists_of_different_lengths_are_refused() -> None:
    """The lengths are named; what is no number is class 0."""
    values = {"boxes": "b", "classes": "c", "scores": "s"}
    outputs = {"b": BOXES, "c": np.array([np.nan, np.inf]), "s": np.array([0.5])}
    with pytest.raises(InputError, match="'b' 2, 'c' 2, 's' 1"):
        HEADS["lists"].read(outputs, Reading(values, {}, SIZE))
    found = HEADS["lists"].read({**outputs, "s": np.array([0.5, 0.5])}, Reading(values, {"first_class": 1}, SIZE))
    assert found.classes is not None
    assert found.classes.tolist() == [-1, -1]


def test_an_unknown_order_of_columns_is_refused() -> None:
    """Those that exist are named."""
    with pytest.raises(InputError, match="columns 'yx' are not known, only xyxysc"):
        HEADS["rows"].read({"y": BOXES}, Reading({"rows": "y"}, {"columns": "yx"}, SIZE))
