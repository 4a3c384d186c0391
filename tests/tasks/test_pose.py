"""The task pose."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.detector_outputs import SIZE, yolov8

from partway.errors import InputError
from partway.tasks.interface import Geometry, OutputSpec
from partway.tasks.pose import ENTRY, Poses

Array = np.ndarray[Any, Any]


def _task(head: str = "movenet", **output: Any) -> Any:
    entry = {"kind": "pose", "head": head, "value": "y", "size": list(SIZE), **output}
    return ENTRY.make(entry, [OutputSpec("y", "float32", (None,))])


def _person(score: float = 0.9) -> Array:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.random((17, 2)), np.full((17, 1), score)], 1)[None, None].astype(np.float32)


def test_points_come_back_in_the_picture_s_pixels() -> None:
    """With names where there are 17; in the input's pixels where nothing is known of the picture."""
    half = Geometry(256, 192, 128, 96, 0.5, 0.5)
    found, plain = (_task().decode({"y": _person()}, geometry) for geometry in (half, None))
    np.testing.assert_allclose(found.points[..., :2], plain.points[..., :2] * 2)
    (entry,) = found.to_json()["keypoints"]
    assert (entry["label"], entry["score"], entry["names"][0]) == ("person", 0.9, "nose")
    assert (len(entry["points"]), len(entry["points"][0])) == (17, 3)
    assert found.line == "1 person 0.90"


def test_boxes_have_poses() -> None:
    """Best first, with the box and the class."""
    boxes = np.array([[10, 12, 50, 60], [70, 20, 120, 90.0]])
    output = yolov8(boxes, np.array([0.6, 0.8]), np.array([0, 1]))[:, :6]
    points = np.broadcast_to(np.tile(np.array([30, 40, 0.9], np.float32), 4)[None, :, None], (1, 12, output.shape[2]))
    task = _task("yolo", points=4, classes=2, labels=["cat", "dog"])
    found = task.decode({"y": np.concatenate([output, points], 1)}, None)
    assert found.line == "1 dog 0.80, 1 cat 0.60"
    np.testing.assert_allclose(found.boxes, boxes[::-1], rtol=1e-5)
    assert found.to_json()["keypoints"][0]["box"] == [70, 20, 120, 90]
    assert "names" not in found.to_json()["keypoints"][0]


def test_agreement_is_the_mean_similarity() -> None:
    """Unmatched poses count 0; nothing agrees with nothing."""
    task = _task()
    one = task.decode({"y": _person()}, None)
    both = Poses(one.points.repeat(2, 0), np.array([0.9, 0.8]), ("person",) * 2)
    nothing = Poses(one.points[:0], np.zeros(0), ())
    assert task.agreement(one, one) == 1
    assert task.agreement(one, both) == 0.5
    assert task.agreement(nothing, nothing) == 1
    assert task.agreement(nothing, one) == 0
    moved = Poses(one.points + np.array([3, 0, 0]), one.scores, one.labels)
    assert 0.5 < task.agreement(moved, one) < 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_do_no_harm(bad: float) -> None:
    """In any head; JSON stays strict."""
    for head, shape in (("movenet", (1, 1, 17, 3)), ("heatmaps", (1, 5, 24, 32)), ("yolo", (1, 5 + 51, 252))):
        found = _task(head).decode({"y": np.full(shape, bad, np.float32)}, Geometry(10, 10, 128, 96))
        json.dumps(found.to_json(), allow_nan=False)
        assert np.isfinite(found.points).all()


def test_an_entry_that_does_not_fit_is_refused() -> None:
    """Unknown heads, numbers out of range."""
    with pytest.raises(InputError, match="unknown head 'openpose' of the task pose; known: heatmaps"):
        _task("openpose")
    with pytest.raises(InputError, match="score -1 must be between 0 and 1"):
        _task(score=-1)
    with pytest.raises(InputError, match="dimensions 4 must be between 2 and 3"):
        _task("yolo", dimensions=4).decode({"y": np.zeros((1, 56, 252))}, None)


def test_a_skeleton_is_drawn() -> None:
    """Between visible points only."""
    task, picture = _task(), Image.new("RGB", (128, 96))
    assert task.draw(picture, task.decode({"y": _person()}, None)).getbbox() is not None
    assert task.draw(picture, task.decode({"y": _person(0.1)}, None)).getbbox() is None


def test_poses_are_recognised() -> None:
    """By the heads' own shapes."""
    guess = ENTRY.recognise({"y": _person()}, SIZE)
    assert guess is not None
    assert ENTRY.make(guess.output, [OutputSpec("y", "float32", (1, 1, 17, 3))]).name == "pose"
