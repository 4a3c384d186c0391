"""The task segment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.detector_outputs import CLASSES, SIZE, yolov8

from partway.errors import InputError, MissingPackage
from partway.tasks.interface import Geometry, OutputSpec
from partway.tasks.segment import ENTRY, Mask, Masks

Array = np.ndarray[Any, Any]
NUMBERS = np.array([[0, 0, 2, 2], [0, 1, 1, 2]])


def _task(head: str = "indices", **output: Any) -> Any:
    specs = [OutputSpec("y", "float32", (None,)), OutputSpec("p", "float32", (None,))]
    return ENTRY.make({"kind": "segment", "head": head, **output}, specs)


def _masks(*numbers: Array, objects: bool = False) -> Masks:
    task = _task()
    found = [mask for array in numbers for mask in task.decode({"y": array}, None).found]
    return Masks(tuple(found), objects)


def test_classes_are_masks_with_their_share_of_the_picture() -> None:
    """The largest first."""
    found = _task(labels=["background", "cat", "dog"]).decode({"y": NUMBERS}, None)
    assert found.line == "dog 38 %, cat 25 %"
    assert found.to_json()["masks"][1] == {
        "label": "cat", "index": 1, "score": 1.0, "size": [2, 4], "counts": [3, 1, 1, 1, 2]
    }  # fmt: skip
    np.testing.assert_array_equal(found.masks[0], NUMBERS == 2)
    assert found.xyxy.tolist() == [[2, 0, 4, 2], [1, 1, 3, 2]]
    assert (found.classes.tolist(), found.scores.tolist(), found.labels) == ([2, 1], [1, 1], ("dog", "cat"))


def test_masks_have_the_picture_s_size() -> None:
    """Without the letterbox's border."""
    found = _task().decode({"y": NUMBERS.repeat(2, 0)}, Geometry(8, 4, 4, 4, 0.5, 0.5, 0, 1))
    assert {mask.size for mask in found.found} == {(4, 8)}
    np.testing.assert_array_equal(found.masks.argmax(0).shape, (4, 8))


def test_agreement_is_the_mean_overlap() -> None:
    """Over the classes of either; nothing agrees with nothing."""
    task, found = _task(), _masks(NUMBERS)
    assert task.agreement(found, found) == 1
    assert task.agreement(Masks(()), Masks(())) == 1
    assert task.agreement(Masks(()), found) == 0
    changed = NUMBERS.copy()
    changed[0, 2] = 0
    assert task.agreement(_masks(changed), found) == pytest.approx((3 / 4 + 1 + 2 / 3) / 3)
    other = np.where(NUMBERS == 1, 3, NUMBERS)
    assert task.agreement(_masks(other), found) == pytest.approx(2 / 4)
    assert task.agreement(_masks(NUMBERS.repeat(2, 0)), found) == 0


def test_objects_are_read_with_their_boxes() -> None:
    """As a detector's, in order of their scores."""
    output = yolov8(np.array([[8, 8, 40, 40], [64, 16, 120, 80.0]]), np.array([0.6, 0.9]), np.array([1, 4]))
    outputs = {
        "y": np.concatenate([output, np.ones((1, 1, output.shape[2]), np.float32)], 1),
        "p": np.ones((1, 1, 24, 32), np.float32),
    }
    values = {"boxes": "y", "prototypes": "p"}
    task = _task("yolo", values=values, size=list(SIZE), classes=CLASSES, labels=list("abcdef"))
    found = task.decode(outputs, None)
    assert found.line == "1 e 0.90, 1 b 0.60"
    np.testing.assert_allclose(found.xyxy, [[64, 16, 120, 80], [8, 8, 40, 40]], atol=1)
    assert task.agreement(found, found) == 1
    assert task.agreement(Masks(found.found[:1], True), found) == 0.5
    drawn = task.draw(Image.new("RGB", (128, 96)), found)
    assert drawn.getbbox() is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_do_no_harm(bad: float) -> None:
    """In any head."""
    output = np.full((1, 10, 252), bad, np.float32)
    outputs = {"y": output, "p": np.full((1, 2, 24, 32), bad, np.float32)}
    yolo = _task("yolo", values={"boxes": "y", "prototypes": "p"}, size=list(SIZE), classes=4)
    assert len(yolo.decode(outputs, None)) == 0
    for head in ("classes", "one", "indices"):
        array = np.full((1, 3, 4, 4) if head == "classes" else (1, 1, 4, 4), bad, np.float32)
        json.dumps(_task(head).decode({"y": array}, None).to_json(), allow_nan=False)


def test_an_entry_that_does_not_fit_is_refused() -> None:
    """Unknown heads, thresholds out of range."""
    with pytest.raises(InputError, match="unknown head 'maps' of the task segment; known: classes"):
        _task("maps")
    with pytest.raises(InputError, match="score 7 must be between 0 and 1"):
        _task("one", score=7)


def test_masks_are_drawn_in_their_colours() -> None:
    """Half-transparent, so that both the picture and the classes can be seen."""
    picture = Image.new("RGB", (4, 2), "white")
    drawn = np.asarray(_task().draw(picture, Masks((Mask("", 1, 1.0, (2, 4), (2, 6)),))))
    assert (drawn[:, 0] == 255).all()
    assert (drawn[:, 1:] < 255).any(-1).all()


def test_supervision_gets_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a sentence where that package is absent."""
    from types import SimpleNamespace

    modules = __import__("sys").modules
    monkeypatch.setitem(modules, "supervision", SimpleNamespace(Detections=lambda **fields: SimpleNamespace(**fields)))
    found = _masks(NUMBERS).to_supervision()
    assert (found.mask.shape, found.mask.dtype, found.class_id.tolist()) == ((3, 2, 4), bool, [0, 2, 1])
    monkeypatch.setitem(modules, "supervision", None)
    with pytest.raises(MissingPackage, match="pip install supervision"):
        _masks(NUMBERS).to_supervision()


def test_a_real_model_finds_a_person(data: Path) -> None:
    """MediaPipe's selfie segmentation, on a portrait: the middle belongs to it, the corners do not."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = data / "models/selfie_segmentation.tflite"
    if not model.is_file():
        pytest.skip("no such model in the reference data")
    picture = Image.open(next((data / "imagenet").glob("n02669723*"))).convert("RGB")
    interpreter = litert.Interpreter(str(model))
    interpreter.allocate_tensors()
    given, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    pixels = np.asarray(picture.resize((256, 256)), np.float32)[None] / 255
    interpreter.set_tensor(given["index"], pixels)
    interpreter.invoke()
    outputs = {answer["name"]: interpreter.get_tensor(answer["index"])}
    guess = ENTRY.recognise(outputs, (256, 256))
    assert guess is not None
    task = ENTRY.make({**guess.output, "labels": ["person"]}, [OutputSpec(answer["name"], "float32", (1, 256, 256, 1))])
    width, height = picture.size
    found: Any = task.decode(outputs, Geometry(width, height, 256, 256, 256 / width, 256 / height))
    (mask,) = found.masks
    assert mask.shape == (height, width)
    assert 0.2 < mask.mean() < 0.8
    assert mask[height // 2, width // 2]
    assert found.line.startswith("person ")
