"""Which YOLO head an output belongs to."""

from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import SIZE, yolov5, yolov8, yolox

from partway.tasks.heads.yolo_guess import find, recognise

Array = np.ndarray[Any, Any]
BOXES, SCORES, KINDS = np.array([[10, 12, 50, 60.0]]), np.array([0.8]), np.array([2])


def test_an_output_on_the_grids_is_found() -> None:
    """Among others that are none; with what its values say."""
    outputs = {"maps": np.zeros((1, 8, 12, 16), np.float32), "y": yolov8(BOXES, SCORES, KINDS)}
    found = find(outputs, SIZE)
    assert found is not None
    assert (found.name, found.transposed, found.per_cell, found.decoded, found.unit) == ("y", True, 1, True, False)
    assert found.anchors.shape == (252, 10)
    assert "strides 8, 16, 32, centres in them" in found.reason
    assert find(outputs, None) is None
    assert find({"y": outputs["y"], "z": outputs["y"]}, SIZE) is None


def test_offsets_are_not_decoded() -> None:
    """YOLOX's."""
    found = find({"y": yolox(BOXES, SCORES, KINDS)}, SIZE)
    assert found is not None
    assert not found.decoded


def test_turned_boxes_have_an_angle_at_the_end() -> None:
    """Beyond 0 to 1, and within half a turn."""
    output = yolov8(BOXES, SCORES, KINDS)
    angles = np.linspace(-0.7, 2.3, output.shape[2], dtype=np.float32)[None, None]
    (guess,) = recognise({"y": np.concatenate([output, angles], 1)}, SIZE)
    assert (guess.output["angle"], guess.output["classes"], guess.certain) == (True, 6, True)


@pytest.mark.parametrize("more", [32, 51])
def test_channels_that_are_neither_scores_nor_logits_are_no_classes(more: int) -> None:
    """Coefficients of masks, points of poses."""
    output = yolov8(BOXES, SCORES, KINDS)
    further = np.random.default_rng(0).normal(100, 50, (1, more, output.shape[2])).astype(np.float32)
    assert recognise({"y": np.concatenate([output, further], 1)}, SIZE) == []


def test_raw_offsets_with_three_anchors_a_cell_need_anchors_that_the_file_does_not_say() -> None:
    """So they are not guessed."""
    output = yolov5(BOXES, SCORES, KINDS)
    output[..., :2] = 0.5
    assert recognise({"y": output}, SIZE) == []
