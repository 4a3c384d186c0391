"""The task detect."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.detector_outputs import SIZE, yolov5, yolov8, yolox

from partway.errors import InputError, MissingPackage
from partway.tasks.detect import ENTRY, Boxes
from partway.tasks.interface import Geometry, OutputSpec

Array = np.ndarray[Any, Any]
BOXES = np.array([[10, 12, 50, 60], [70, 20, 120, 90.0]])
SCORES, KINDS = np.array([0.8, 0.6]), np.array([2, 5])
LABELS = ["a", "b", "face", "c", "d", "dog"]


def _task(head: str = "yolov8", **output: Any) -> Any:
    entry = {"kind": "detect", "head": head, "value": "y", "size": list(SIZE), "labels": LABELS, **output}
    return ENTRY.make(entry, [OutputSpec("y", "float32", (1, None, None))])


def _boxes(rows: list[list[float]], classes: list[int] | None = None) -> Boxes:
    kinds = np.array(classes if classes is not None else [0] * len(rows), int)
    return Boxes(np.array(rows, float).reshape(-1, 4), np.linspace(0.9, 0.5, len(rows)), kinds, ("x",) * len(rows))


def test_boxes_are_values_json_and_a_line() -> None:
    """In the input's pixels where nothing is known of the picture."""
    found = _task().decode({"y": yolov8(BOXES, SCORES, KINDS)}, None)
    np.testing.assert_allclose(found.xyxy, BOXES, rtol=1e-5)
    assert (found.classes.tolist(), found.labels, len(found)) == ([2, 5], ("face", "dog"), 2)
    assert found.to_json()["boxes"][0] == {
        "x1": 10.0, "y1": 12.0, "x2": 50.0, "y2": 60.0, "score": 0.8, "label": "face", "index": 2
    }  # fmt: skip
    assert found.line == "1 face 0.80, 1 dog 0.60"


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([("yolov8", yolov8), ("yolov5", yolov5), ("yolox", yolox)]),
    st.integers(20, 900),
    st.integers(20, 900),
    st.booleans(),
    st.floats(0.1, 0.6),
    st.floats(0.1, 0.6),
)
def test_a_box_of_the_picture_survives_a_letterbox(
    head: Any, width: int, height: int, centre: bool, x: float, y: float
) -> None:
    """What lies in the picture, moved to the model's input and read there, is where it was."""
    scale = min(SIZE[1] / width, SIZE[0] / height)
    left, top = ((SIZE[1] - width * scale) / 2, (SIZE[0] - height * scale) / 2) if centre else (0.0, 0.0)
    geometry = Geometry(width, height, SIZE[1], SIZE[0], scale, scale, left, top)
    box = np.array([x * width, y * height, (x + 0.3) * width, (y + 0.35) * height])
    moved = box * scale + np.array([left, top, left, top])
    outputs = {"y": head[1](moved[None], np.array([0.8]), np.array([1]))}
    found = _task(head[0]).decode(outputs, geometry)
    assert len(found) == 1
    np.testing.assert_allclose(found.xyxy[0], box, atol=0.002 / scale)


def test_boxes_are_moved_inside_the_picture() -> None:
    """One that lies in the letterbox's border alone is left out."""
    boxes = np.array([[2, 50, 60, 92], [70, 2, 120, 20.0]])
    geometry = Geometry(128, 40, 128, 96, 1, 1, 0, 28)
    found = _task().decode({"y": yolov8(boxes, SCORES, KINDS)}, geometry)
    np.testing.assert_allclose(found.xyxy, [[2, 22, 60, 40]], rtol=1e-5)


def test_overlaps_go_within_a_class_or_within_all() -> None:
    """As the entry says."""
    boxes = np.array([[10, 12, 50, 60], [10, 22, 50, 70.0]])
    same, other = np.array([1, 1]), np.array([1, 2])
    assert len(_task().decode({"y": yolov8(boxes, SCORES, same)}, None)) == 1
    assert len(_task().decode({"y": yolov8(boxes, SCORES, other)}, None)) == 2
    assert len(_task(agnostic=True).decode({"y": yolov8(boxes, SCORES, other)}, None)) == 1
    assert len(_task(iou=0.9).decode({"y": yolov8(boxes, SCORES, same)}, None)) == 2


def test_thresholds_come_from_the_entry() -> None:
    """The score, and the most boxes."""
    output = {"y": yolov8(BOXES, SCORES, KINDS)}
    assert _task(score=0.7).decode(output, None).scores.tolist() == pytest.approx([0.8])
    assert len(_task(most=1).decode(output, None)) == 1
    assert len(_task(score=0.9).decode(output, None)) == 0
    assert len(_task(score=0.0).decode(output, None)) > 100


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_no_boxes(bad: float) -> None:
    """In coordinates or scores; the rest is read, and JSON stays strict."""
    for channel in (0, 2, 4, 7):
        output = yolov8(BOXES, SCORES, KINDS)
        output[0, channel, ::2] = bad
        found = _task().decode({"y": output}, Geometry(50, 50, 128, 96))
        assert len(found) <= 2
        json.dumps(found.to_json(), allow_nan=False)
    everything = np.full_like(output, bad)
    assert len(_task().decode({"y": everything}, None)) == 0


def test_nothing_found_is_an_answer() -> None:
    """An empty list."""
    found = _task().decode({"y": np.zeros((1, 10, 252), np.float32)}, None)
    assert (found.to_json(), found.line, found.xyxy.shape) == ({"boxes": []}, "nothing found", (0, 4))
    assert len(_task().decode({"y": np.zeros((1, 10, 0), np.float32)}, None)) == 0


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ({"head": "yolov9"}, "unknown head 'yolov9'; did you mean 'yolo"),
        ({"head": None}, "unknown head 'None'; known: yolov8"),
        ({"score": 2}, "score 2 must be between 0 and 1"),
        ({"iou": "much"}, "iou 'much', which is no number"),
        ({"size": 7}, r"size 7, not \[height, width\]"),
        ({"value": "z"}, "names no output for 'boxes'"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused(output: dict[str, Any], sentence: str) -> None:
    """By a sentence that names it."""
    with pytest.raises(InputError, match=sentence):
        ENTRY.make({"kind": "detect", "head": "yolov8", **output}, [OutputSpec("y", "float32", (1, 10, 252))])


@pytest.mark.parametrize(
    ("result", "reference", "agreement"),
    [
        ([], [], 1.0),
        ([], [[0, 0, 9, 9]], 0.0),
        ([[0, 0, 10, 10]], [[0, 0, 10, 10]], 1.0),
        ([[0, 0, 10, 10]], [[0, 0, 10, 21]], 0.0),
        ([[0, 0, 10, 10], [50, 50, 60, 60]], [[0, 0, 10, 12]], 2 / 3),
        ([[0, 0, 10, 10], [0, 0, 10, 10]], [[0, 0, 10, 10]], 2 / 3),
    ],
)
def test_agreement_is_f1(result: list[list[float]], reference: list[list[float]], agreement: float) -> None:
    """At an overlap of 0.5; each reference counts once."""
    assert _task().agreement(_boxes(result), _boxes(reference)) == pytest.approx(agreement)


def test_boxes_of_another_class_do_not_agree() -> None:
    """However near they are."""
    assert _task().agreement(_boxes([[0, 0, 9, 9]], [1]), _boxes([[0, 0, 9, 9]], [2])) == 0


def test_boxes_and_keypoints_are_drawn() -> None:
    """On a copy."""
    picture = Image.new("RGB", (128, 96))
    found = _task().decode({"y": yolov8(BOXES, SCORES, KINDS)}, None)
    marked = Boxes(found.xyxy, found.scores, found.classes, ("\x1b", "dog"), np.full((2, 5, 3), 40.0))
    assert _task().draw(picture, marked).getbbox() is not None
    assert picture.getbbox() is None
    assert marked.to_json()["boxes"][0]["keypoints"] == [[40.0, 40.0, 40.0]] * 5


def test_supervision_is_asked_for_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a sentence with the command."""
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(MissingPackage, match="pip install supervision"):
        _boxes([]).to_supervision()


def test_supervision_gets_plain_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corners, confidence, class numbers and names, in the types that package wants."""
    from types import SimpleNamespace

    monkeypatch.setitem(
        __import__("sys").modules, "supervision", SimpleNamespace(Detections=lambda **fields: SimpleNamespace(**fields))
    )
    found = _boxes([[1, 2, 3, 4]], [7]).to_supervision()
    assert (found.xyxy.dtype, found.confidence.dtype) == (np.float32, np.float32)
    assert (found.class_id.tolist(), found.data["class_name"].tolist()) == ([7], ["x"])


def _run(model: Path, pixels: Array) -> dict[str, Array]:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(model))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: pixels}), strict=True))


@pytest.mark.parametrize(
    ("model", "side", "blue_first", "scale", "head", "labels"),
    [
        ("yolox_nano.onnx", 416, True, 1.0, "yolox", {0}),
        ("nudenet_yolov8n_320.onnx", 320, False, 1 / 255, "yolov8", {1, 12}),
    ],
)
def test_real_detectors_find_people(
    data: Path, model: str, side: int, blue_first: bool, scale: float, head: str, labels: set[int]
) -> None:
    """Persons, and faces of women and men, in a picture of two of them; the head is certain."""
    file = data / "models" / model
    if not file.is_file():
        pytest.skip("no such model in the reference data")
    picture = Image.open(next((data / "imagenet").glob("n02883205*"))).convert("RGB")
    ratio = side / max(picture.size)
    small = picture.resize((round(picture.width * ratio), round(picture.height * ratio)))
    square = Image.new("RGB", (side, side), (114, 114, 114))
    square.paste(small)
    pixels = np.asarray(square, np.float32)[..., :: -1 if blue_first else 1].transpose(2, 0, 1)[None] * np.float32(
        scale
    )
    outputs = _run(file, np.ascontiguousarray(pixels))
    guess = ENTRY.recognise(outputs, (side, side))
    assert guess is not None
    assert (guess.output["head"], guess.certain) == (head, True)
    specs = [OutputSpec(name, "float32", array.shape) for name, array in outputs.items()]
    geometry = Geometry(*picture.size, side, side, small.width / picture.width, small.height / picture.height)
    found: Any = ENTRY.make(guess.output, specs).decode(outputs, geometry)
    people = found.xyxy[np.isin(found.classes, list(labels)) & (found.scores > 0.5)]
    assert len(people) == 2
    assert (people[:, 2:] <= picture.size).all()
