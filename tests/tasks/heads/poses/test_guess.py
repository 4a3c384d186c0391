"""Which head of poses outputs belong to."""

from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import SIZE, yolov8

from partway.tasks.heads.poses.guess import recognise
from partway.tasks.heads.yolo_guess import recognise as recognise_boxes

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def _yolo(count: int, dimensions: int) -> Array:
    output = yolov8(np.array([[10, 12, 50, 60.0]]), np.array([0.8]), np.array([0]))[:, :5]
    points = RNG.random((1, count, dimensions, output.shape[2]), np.float32)
    points[:, :, 0] *= SIZE[1]
    points[:, :, 1] *= SIZE[0]
    return np.concatenate([output, points.reshape(1, -1, output.shape[2])], 1)


@pytest.mark.parametrize(("count", "dimensions"), [(17, 3), (5, 2), (4, 3)])
def test_yolo_poses_are_told_from_classes(count: int, dimensions: int) -> None:
    """By points in the picture where classes would be scores."""
    outputs = {"y": _yolo(count, dimensions)}
    guess = recognise(outputs, SIZE)
    assert guess is not None
    assert (guess.output["points"], guess.output["dimensions"], guess.certain) == (count, dimensions, True)
    assert recognise_boxes(outputs, SIZE) == []


def test_classes_are_no_points() -> None:
    """However many there are."""
    output = yolov8(np.array([[10, 12, 50, 60.0]]), np.array([0.8]), np.array([0]))
    scores = RNG.random((1, 46, output.shape[2]), np.float32) * 0.01
    assert recognise({"y": np.concatenate([output, scores], 1)}, SIZE) is None


def _heatmaps(*shape: int) -> Array:
    return np.maximum(RNG.normal(-2, 1, shape), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("outputs", "head", "certain"),
    [
        ({"y": RNG.random((1, 1, 17, 3), np.float32)}, "movenet", True),
        ({"y": RNG.random((1, 6, 56), np.float32)}, "movenet", True),
        ({"a": np.zeros((1, 17, 256), np.float32), "b": np.zeros((1, 17, 192), np.float32)}, "simcc", True),
        ({"y": _heatmaps(1, 17, 24, 32)}, "heatmaps", False),
        ({"y": _heatmaps(1, 24, 32, 21)}, "heatmaps", False),
    ],
)
def test_other_heads_are_known_by_their_shapes(outputs: dict[str, Array], head: str, certain: bool) -> None:
    """Heatmaps may be maps of classes, too."""
    guess = recognise(outputs, SIZE)
    assert guess is not None
    assert (guess.output["head"], guess.certain) == (head, certain)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"y": np.zeros((1, 1000), np.float32)},
        {"y": _heatmaps(1, 17, 96, 128)},
        {"y": _heatmaps(1, 3, 24, 32)},
        {"y": np.full((1, 17, 24, 32), np.nan, np.float32)},
        {"a": np.zeros((1, 9, 7), np.float32), "b": np.zeros((1, 9, 7), np.float32)},
        {"y": np.zeros((1, 1, 17, 3), np.int64)},
    ],
)
def test_other_outputs_are_no_poses(outputs: dict[str, Array]) -> None:
    """Without the input's size nothing is."""
    assert recognise(outputs, SIZE) is None
    assert recognise({"y": _heatmaps(1, 17, 24, 32)}, None) is None
