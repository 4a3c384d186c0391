"""Heads of segmentation."""

from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import CLASSES, SIZE, yolov8

from partway.errors import InputError
from partway.tasks.heads.head import Reading
from partway.tasks.heads.masks import HEADS
from partway.tasks.interface import Geometry

Array = np.ndarray[Any, Any]
NUMBERS = np.array([[0, 0, 2, 2], [0, 1, 1, 2]])


def _read(head: str, outputs: dict[str, Array], geometry: Geometry | None = None, **options: Any) -> dict[str, Any]:
    values = options.pop("values", {"maps": "y"})
    labels = options.pop("labels", ())
    found = HEADS[head].read(outputs, Reading(values, options, options.pop("size", (2, 4))), geometry, labels)
    return {one.label: (one.pixels, round(one.score, 3)) for one in found}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_best_class_of_each_pixel_counts(layout: str) -> None:
    """With the mean probability of its pixels."""
    maps = (np.eye(3, dtype=np.float32)[NUMBERS] * np.float32(0.7) + np.float32(0.1)).transpose(2, 0, 1)[None]
    output = maps if layout == "NCHW" else maps.transpose(0, 2, 3, 1)
    found = _read("classes", {"y": output}, layout=layout, labels=["background", "cat"])
    assert {label: score for label, (_, score) in found.items()} == {"cat": 0.8, "2": 0.8}
    np.testing.assert_array_equal(found["cat"][0], NUMBERS == 1)
    options = {"layout": layout, "softmax": True, "background": None}
    everything = _read("classes", {"y": np.log(output)}, labels=["background"], **options)
    assert {label: score for label, (_, score) in everything.items()} == {"background": 0.8, "1": 0.8, "2": 0.8}


def test_class_numbers_are_taken_as_they_are() -> None:
    """Of any axes of one; negative ones are nothing."""
    for shape in ((2, 4), (1, 2, 4), (1, 1, 2, 4), (1, 2, 4, 1)):
        found = _read("indices", {"y": (NUMBERS - 1).reshape(shape)})
        assert list(found) == ["0", "1"]
        np.testing.assert_array_equal(found["1"][0], NUMBERS == 2)


def test_one_map_is_a_class_where_it_is_above_the_threshold() -> None:
    """In the picture's pixels; what is no number is below."""
    plane = np.array([[0.9, 0.9, 0.2, np.nan]], np.float32)
    found = _read("one", {"y": plane}, Geometry(8, 1, 4, 1, 0.5, 1))
    assert found["foreground"][0].tolist() == [[True] * 4 + [False] * 4]
    logits = np.array([[4, 4, -2, -9]], np.float32)
    assert _read("one", {"y": logits}, sigmoid=True, labels=["person"])["person"][1] == 0.982
    assert _read("one", {"y": plane * 0}) == {}


def test_yolo_s_prototypes_make_objects() -> None:
    """Their weighted sum, where it is positive inside the box."""
    boxes = np.array([[8, 8, 40, 40], [64, 16, 120, 80.0]])
    output = yolov8(boxes, np.array([0.9, 0.6]), np.array([1, 4]))
    coefficients = np.zeros((1, 2, output.shape[2]), np.float32)
    coefficients[0, 0], coefficients[0, 1] = 1, -1
    prototypes = np.zeros((1, 2, 24, 32), np.float32)
    prototypes[0, 0, :8], prototypes[0, 1, 8:] = 1, 1
    outputs = {"y": np.concatenate([output, coefficients], 1), "p": prototypes}
    values = {"boxes": "y", "prototypes": "p"}
    found = _read("yolo", outputs, values=values, classes=CLASSES, size=SIZE)
    assert [score for _, score in found.values()] == [0.9, 0.6]
    rows, columns = np.nonzero(found["1"][0])
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (8, 32, 8, 40)
    last = {**outputs, "p": prototypes.transpose(0, 2, 3, 1)}
    again = _read("yolo", last, values=values, classes=CLASSES, size=SIZE, layout="NHWC")
    np.testing.assert_array_equal(again["1"][0], found["1"][0])
    with pytest.raises(InputError, match="other coefficients than the 2 prototypes"):
        _read("yolo", outputs, values=values, classes=CLASSES + 1, size=SIZE)


@pytest.mark.parametrize(("head", "shape"), [("classes", (1, 3, 0, 4)), ("classes", (3, 4)), ("one", (1, 2, 4, 4))])
def test_outputs_without_a_map_are_refused(head: str, shape: tuple[int, ...]) -> None:
    """By their shape."""
    if head == "classes" and len(shape) == 2:
        assert _read(head, {"y": np.zeros(shape)})
        return
    with pytest.raises(InputError, match="has shape"):
        _read(head, {"y": np.zeros(shape)})
    with pytest.raises(InputError, match="no output 'y'"):
        _read(head, {"z": np.zeros(shape)})
