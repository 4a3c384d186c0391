"""What Ultralytics' exporter writes into a model's metadata."""

import json
from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import SIZE, yolov8

from partway.tasks import pose, segment
from partway.tasks.interface import OutputSpec
from partway.tasks.ultralytics import LONGEST, from_ultralytics, names_of, size_of

Array = np.ndarray[Any, Any]
BOX = np.array([[10, 12, 50, 60.0]]), np.array([0.8]), np.array([2])
NAMES = str({index: f"thing {index}" for index in range(6)})


def _more(*channels: Array) -> Array:
    output = yolov8(*BOX)
    return np.concatenate([output, *(np.broadcast_to(c, (1, len(c), output.shape[2])) for c in channels)], 1)


def test_a_detector_gets_its_names() -> None:
    """Certain, with what the outputs say."""
    guess = from_ultralytics({"task": "detect", "names": NAMES}, {"y": yolov8(*BOX)}, SIZE)
    assert guess is not None
    assert (guess.output["head"], guess.output["labels"][2], guess.certain) == ("yolov8", "thing 2", True)
    assert guess.reason.startswith("Ultralytics metadata: detect; 252 anchors")


def test_the_first_exports_had_no_task() -> None:
    """YOLOv5's: names and stride."""
    guess = from_ultralytics({"stride": "32", "names": NAMES}, {"y": yolov8(*BOX)}, SIZE)
    assert guess is not None
    assert guess.output["kind"] == "detect"


def test_names_choose_between_readings() -> None:
    """Rows with one anchor a cell: 6 names leave no room for an objectness."""
    guess = from_ultralytics({"task": "detect", "names": NAMES}, {"y": yolov8(*BOX).transpose(0, 2, 1)}, SIZE)
    assert guess is not None
    assert (guess.output["head"], guess.output["transposed"], guess.certain) == ("yolov8", False, True)


def test_suppressed_rows_are_a_detector_s() -> None:
    """YOLOv10 and later."""
    table = np.array([[[10, 12, 50, 60, 0.9, 2], [0, 0, 9, 9, 0.1, 5]]], np.float32)
    guess = from_ultralytics({"task": "detect", "names": NAMES}, {"y": table}, SIZE)
    assert guess is not None
    assert (guess.output["head"], len(guess.output["labels"])) == ("rows", 6)


def test_turned_boxes_have_an_angle() -> None:
    """Only where the task says so, or the values do."""
    angles = np.linspace(-0.5, 2, 252, dtype=np.float32)[None]
    guess = from_ultralytics({"task": "obb", "names": NAMES}, {"y": _more(angles)}, SIZE)
    assert guess is not None
    assert (guess.output["angle"], guess.output["classes"]) == (True, 6)


def test_small_angles_are_no_class() -> None:
    """Where their values look like scores, the number of names tells."""
    angles = np.linspace(0, 0.9, 252, dtype=np.float32)[None]
    guess = from_ultralytics({"task": "obb", "names": NAMES}, {"y": _more(angles)}, SIZE)
    assert guess is not None
    assert (guess.output["angle"], guess.output["classes"]) == (True, 6)


def test_turned_boxes_may_be_suppressed_already() -> None:
    """Rows of centre, sides, score, class and angle."""
    table = np.array([[[50, 40, 20, 10, 0.9, 2, 1.5], [9, 9, 9, 9, 0.1, 5, 0]]], np.float32)
    guess = from_ultralytics({"task": "obb", "names": NAMES}, {"y": table}, SIZE)
    assert guess is not None
    assert (guess.output["head"], guess.output["angle"], len(guess.output["labels"])) == ("rows", True, 6)


def test_masks_and_poses_may_be_suppressed_already() -> None:
    """Rows of box, score, class, and coefficients or points, as YOLO26 gives them."""
    row = np.array([10, 12, 50, 60, 0.9, 2], np.float32)
    points = np.concatenate([row, np.tile([30, 40, 0.8], 4)])[None, None].astype(np.float32)
    guess = from_ultralytics({"task": "pose", "names": NAMES, "kpt_shape": "[4, 3]"}, {"y": points}, SIZE)
    assert guess is not None
    poses: Any = pose.ENTRY.make(guess.output, [OutputSpec("y", "float32", (1, 1, 18))]).decode({"y": points}, None)
    assert (poses.line, poses.points[0, 0].round(3).tolist()) == ("1 thing 2 0.90", [30, 40, 0.8])
    outputs = {"y": np.concatenate([row, np.ones(8)])[None, None].astype(np.float32), "p": np.ones((1, 8, 24, 32))}
    guess = from_ultralytics({"task": "segment", "names": NAMES}, outputs, SIZE)
    assert guess is not None
    specs = [OutputSpec(name, "float32", array.shape) for name, array in outputs.items()]
    masks: Any = segment.ENTRY.make(guess.output, specs).decode(outputs, None)
    assert (masks.line, masks.xyxy.tolist()) == ("1 thing 2 0.90", [[10, 12, 50, 60]])


@pytest.mark.parametrize("shape", ["[4, 3]", "[6, 2]"])
def test_a_pose_s_channels_are_told_by_kpt_shape(shape: str) -> None:
    """With several classes, too."""
    metadata = {"task": "pose", "names": NAMES, "kpt_shape": shape}
    guess = from_ultralytics(metadata, {"y": _more(np.full((12, 1), 30, np.float32))}, SIZE)
    assert guess is not None
    assert [guess.output["points"], guess.output["dimensions"]] == json.loads(shape)
    assert (guess.output["classes"], len(guess.output["labels"])) == (6, 6)
    assert from_ultralytics({**metadata, "kpt_shape": "[5, 3]"}, {"y": yolov8(*BOX)}, SIZE) is None


def test_segments_and_classes_are_read_by_their_outputs() -> None:
    """With the names."""
    coefficients = np.random.default_rng(0).normal(size=(8, 252)).astype(np.float32)
    outputs = {"y": _more(coefficients), "p": np.ones((1, 8, 24, 32), np.float32)}
    guess = from_ultralytics({"task": "segment", "names": NAMES}, outputs, SIZE)
    assert guess is not None
    assert (guess.output["kind"], guess.output["classes"], len(guess.output["labels"])) == ("segment", 6, 6)
    shares = np.full((1, 6), 1 / 6, np.float32)
    guess = from_ultralytics({"task": "classify", "names": NAMES}, {"y": shares}, SIZE)
    assert guess is not None
    assert (guess.output["kind"], guess.output["softmax"], len(guess.output["labels"])) == ("classify", False, 6)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"task": "detect"},
        {"task": "dance", "names": NAMES},
        {"task": "segment", "names": NAMES},
        {"task": "pose", "names": NAMES, "kpt_shape": "17"},
    ],
)
def test_other_metadata_says_nothing(metadata: dict[str, str]) -> None:
    """Nor does a task that the outputs cannot do."""
    assert from_ultralytics(metadata, {"y": yolov8(*BOX)}, SIZE) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'cat', 1: \"dog's\"}", ("cat", "dog's")),
        ("['cat', 'dog']", ("cat", "dog")),
        ("{'0': 'cat'}", ("cat",)),
        ("{1: 'cat'}", ()),
        ("{0: 'cat', 'x': 'dog'}", ()),
        ("{}", ()),
        ("cat, dog", ()),
        ("__import__('os').system('true')", ()),
        ("[" * 5000, ()),
        ("[" + "'x'," * LONGEST + "]", ()),
        ("7", ()),
        ("{[]: 1}", ()),
    ],
)
def test_names_are_a_literal_and_nothing_else(text: str, names: tuple[str, ...]) -> None:
    """Code, depth and length are not read."""
    assert names_of({"names": text}) == names


@pytest.mark.parametrize(
    ("text", "size"),
    [("[320, 640]", (320, 640)), ("640", (640, 640)), ("[0, 4]", None), ("[1, 2, 3]", None), ("'a'", None), ("", None)],
)
def test_the_size_is_height_and_width(text: str, size: tuple[int, int] | None) -> None:
    """Or one number for both."""
    assert size_of({"imgsz": text}) == size


def test_without_a_run_s_size_the_metadata_s_counts() -> None:
    """For models with open sizes."""
    metadata = {"task": "detect", "names": NAMES, "imgsz": str(list(SIZE))}
    guess = from_ultralytics(metadata, {"y": yolov8(*BOX)}, None)
    assert guess is not None
    assert guess.output["size"] == list(SIZE)
