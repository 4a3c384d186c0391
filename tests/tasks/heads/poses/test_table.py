"""Heads of poses."""

from typing import Any

import numpy as np
import pytest
from tests.support.detector_outputs import SIZE, yolov8

from partway.errors import InputError
from partway.tasks.heads.head import Reading
from partway.tasks.heads.poses.table import HEADS, Found

Array = np.ndarray[Any, Any]


def _read(head: str, outputs: dict[str, Array], values: dict[str, str], **options: Any) -> Found:
    return HEADS[head].read(outputs, Reading(values, options, options.pop("size", SIZE)))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_peak_of_each_heatmap_is_a_point(layout: str) -> None:
    """A quarter of a pixel towards the larger neighbour; not at the border."""
    maps = np.zeros((1, 3, 24, 32), np.float32)
    maps[0, 0, 10, 20], maps[0, 0, 10, 21], maps[0, 0, 9, 20] = 0.9, 0.5, 0.2
    maps[0, 1, 0, 31] = 0.8
    maps[0, 2] = np.nan
    output = maps if layout == "NCHW" else maps.transpose(0, 2, 3, 1)
    found = _read("heatmaps", {"y": output}, {"maps": "y"}, layout=layout)
    np.testing.assert_allclose(found.points[0, :2], [[81, 39, 0.9], [124, 0, 0.8]], rtol=1e-6)
    assert not np.isfinite(found.points[0, 2, 2])


def test_simcc_has_a_distribution_per_axis() -> None:
    """Twice as fine as the input."""
    across, down = np.zeros((1, 2, 256), np.float32), np.zeros((1, 2, 192), np.float32)
    across[0, 0, 41], down[0, 0, 100] = 0.8, 0.6
    found = _read("simcc", {"x": across, "y": down}, {"x": "x", "y": "y"})
    np.testing.assert_allclose(found.points[0, 0], [20.5, 50, 0.7], rtol=1e-6)
    with pytest.raises(InputError, match="not as many points"):
        _read("simcc", {"x": across, "y": down[:, :1]}, {"x": "x", "y": "y"})


def test_movenet_has_y_before_x() -> None:
    """One person of 17 points, or several with boxes."""
    one = np.tile(np.array([0.25, 0.5, 0.9], np.float32), (1, 1, 17, 1))
    found = _read("movenet", {"y": one}, {"points": "y"})
    np.testing.assert_allclose(found.points, np.tile([64, 24, 0.9], (1, 17, 1)), rtol=1e-6)
    row = np.concatenate([one.reshape(-1), [0.1, 0.2, 0.3, 0.4, 0.8]])[None, None].astype(np.float32)
    several = _read("movenet", {"y": row}, {"points": "y"})
    assert several.boxes is not None
    np.testing.assert_allclose(several.boxes[0], [25.6, 9.6, 51.2, 28.8], rtol=1e-5)
    assert several.scores.tolist() == pytest.approx([0.8])
    with pytest.raises(InputError, match="has 55 values a pose"):
        _read("movenet", {"y": row[..., 1:]}, {"points": "y"})


@pytest.mark.parametrize(("dimensions", "unit"), [(3, False), (2, False), (3, True)])
def test_yolo_s_boxes_have_points(dimensions: int, unit: bool) -> None:
    """With a visibility or without; suppressed as boxes are."""
    boxes = np.array([[10, 12, 50, 60], [18, 12, 58, 60.0]])
    output = yolov8(boxes, np.array([0.8, 0.6]), np.array([0, 0]))[:, :5]
    points = np.tile(np.array([30, 40, 0.9], np.float32)[:dimensions], 5)[None, :, None]
    table = np.concatenate([output, np.broadcast_to(points, (1, points.shape[1], output.shape[2]))], 1)
    options = {"points": 5, "dimensions": dimensions, "classes": 1}
    if unit:
        table[:, [0, 2]] /= SIZE[1]
        table[:, [1, 3]] /= SIZE[0]
        table[:, 5::3] /= SIZE[1]
        table[:, 6::3] /= SIZE[0]
        options["unit"] = True
    found = _read("yolo", {"y": table}, {"boxes": "y"}, **options)
    np.testing.assert_allclose(found.points, np.tile([30, 40, 0.9 if dimensions == 3 else 1], (1, 5, 1)), rtol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.8])
    with pytest.raises(InputError, match="do not have 6 points"):
        _read("yolo", {"y": table}, {"boxes": "y"}, **{**options, "points": 6})


def test_an_empty_map_is_refused() -> None:
    """It holds no point."""
    with pytest.raises(InputError, match="holds no map"):
        _read("heatmaps", {"y": np.zeros((1, 3, 0, 4))}, {"maps": "y"})
    with pytest.raises(InputError, match="no output 'y'"):
        _read("movenet", {"z": np.zeros(3)}, {"points": "y"})
