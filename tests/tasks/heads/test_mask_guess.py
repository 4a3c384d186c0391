"""Which head of segmentation outputs belong to."""

from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import SIZE, yolov8

from partway.tasks.heads.mask_guess import recognise

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def _normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("outputs", "entry", "certain"),
    [
        ({"y": _normal(1, 21, 64, 96)}, {"head": "classes", "layout": "NCHW", "classes": 21, "softmax": True}, True),
        ({"y": _normal(1, 64, 96, 21)}, {"head": "classes", "layout": "NHWC", "classes": 21}, True),
        ({"y": _normal(1, 150, 16, 24)}, {"head": "classes", "classes": 150}, False),
        ({"y": _normal(1, 3, 64, 96)}, {"head": "classes", "classes": 3}, False),
        ({"y": np.full((1, 2, 64, 96), 0.5, np.float32)}, {"head": "classes", "softmax": False}, True),
        ({"y": RNG.random((1, 1, 64, 96), np.float32)}, {"head": "one", "classes": 1}, False),
        ({"y": _normal(1, 64, 96, 1)}, {"head": "one", "sigmoid": True}, False),
        ({"y": np.zeros((1, 64, 96), np.int64)}, {"head": "indices"}, True),
        ({"y": np.zeros((1, 1, 64, 96), np.uint8)}, {"head": "indices"}, True),
        ({"out": _normal(1, 21, 64, 96), "aux": _normal(1, 21, 64, 96)}, {"values": {"maps": "out"}}, False),
    ],
)
def test_maps_on_the_input_s_grid_are_seen(outputs: dict[str, Array], entry: dict[str, Any], certain: bool) -> None:
    """Of as many pixels or a whole fraction; up to four channels may be a picture."""
    guess = recognise(outputs, (64, 96))
    assert guess is not None
    assert {key: guess.output.get(key) for key in entry} == entry
    assert guess.certain == certain


def test_boxes_beside_prototypes_are_objects() -> None:
    """The channels between scores and coefficients leave no doubt."""
    output = yolov8(np.array([[10, 12, 50, 60.0]]), np.array([0.8]), np.array([2]))
    boxes = np.concatenate([output, _normal(1, 9, output.shape[2])], 1)
    for prototypes, layout in ((_normal(1, 9, 24, 32), "NCHW"), (_normal(1, 24, 32, 9), "NHWC")):
        guess = recognise({"y": boxes, "p": prototypes}, SIZE)
        assert guess is not None
        assert guess.certain
        assert (guess.output["classes"], guess.output["layout"]) == (6, layout)
        assert guess.output["values"] == {"boxes": "y", "prototypes": "p"}


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"y": _normal(1, 1000)},
        {"y": _normal(1, 21, 65, 96)},
        {"y": np.full((1, 21, 64, 96), np.nan, np.float32)},
        {"y": _normal(1, 21, 64, 96), "z": _normal(1, 7)},
        {"y": np.zeros((1, 9), np.int64)},
    ],
)
def test_other_outputs_are_no_maps(outputs: dict[str, Array]) -> None:
    """Without the input's size nothing is."""
    assert recognise(outputs, (64, 96)) is None
    assert recognise({"y": _normal(1, 21, 64, 96)}, None) is None
