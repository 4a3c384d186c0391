"""Heads of poses: heatmaps, SimCC, MoveNet, and YOLO boxes with keypoints.

Heatmaps: the largest value, a quarter of a pixel towards its larger neighbour (Newell et al., ECCV 2016). SimCC: one
distribution per axis (https://arxiv.org/abs/2107.03332).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.reading import AGAIN, number, taken
from partway.tasks.heads.ended import read_rows
from partway.tasks.heads.head import Reading
from partway.tasks.heads.limits import Limits
from partway.tasks.heads.poses import landmarks
from partway.tasks.heads.yolo import read_as

Array = np.ndarray[Any, Any]
MOST_POINTS = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """Poses in the input's pixels: ``points`` [n, k, 3] x, y, score; ``scores`` [n]; ``boxes`` [n, 4] where known."""

    points: Array
    scores: Array
    boxes: Array | None = None
    classes: Array | None = None


@dataclass(frozen=True, slots=True)
class PoseHead:
    """One head. ``score``: the least score of a pose; of an only pose nothing is required."""

    roles: Sequence[str]
    read: Callable[[Mapping[str, Array], Reading], Found]
    score: float = 0.0


def _only(points: Array, scores: Array) -> Found:
    joined = np.concatenate([points, scores[:, None]], 1)[None]
    return Found(joined, np.array([scores.mean() if len(scores) else 0.0]))


def _read_heatmaps(outputs: Mapping[str, Array], reading: Reading) -> Found:
    """Maps [k, h, w] or [h, w, k] over the input."""
    maps = taken(outputs, reading.values["maps"], 3)
    maps = np.moveaxis(maps, -1, 0) if reading.options.get("layout") == "NHWC" else maps
    points, (_, height, width) = len(maps), maps.shape
    if not maps.size:
        raise InputError(f"output {reading.values['maps']!r} has shape {list(maps.shape)}, it holds no map; {AGAIN}")
    flat = np.nan_to_num(maps.reshape(points, -1), nan=-np.inf, neginf=-np.inf)
    rows, columns = np.divmod(flat.argmax(1), width)
    each = np.arange(points)
    shifted = []
    for place, length, along in ((columns, width, (0, 1)), (rows, height, (1, 0))):
        inner = (place > 0) & (place < length - 1)
        step = [np.where(inner, part, 0) for part in along]
        after = maps[each, rows + step[0], columns + step[1]]
        before = maps[each, rows - step[0], columns - step[1]]
        shifted.append(place + np.where(inner, 0.25 * np.sign(after - before), 0))
    scale = np.array([reading.size[1] / width, reading.size[0] / height])
    return _only(np.stack(shifted, 1) * scale, flat[each, flat.argmax(1)])


def _read_simcc(outputs: Mapping[str, Array], reading: Reading) -> Found:
    """Distributions [k, width * ratio] and [k, height * ratio]; the score is the mean of both peaks."""
    across, down = taken(outputs, reading.values["x"], 2), taken(outputs, reading.values["y"], 2)
    if len(across) != len(down) or not (across.size and down.size):
        raise InputError(
            f"the axes have {list(across.shape)} and {list(down.shape)} values, not as many points; {AGAIN}"
        )
    clean = [np.nan_to_num(part, nan=-np.inf, neginf=-np.inf) for part in (across, down)]
    ratios = [across.shape[1] / reading.size[1], down.shape[1] / reading.size[0]]
    points = np.stack([part.argmax(1) / ratio for part, ratio in zip(clean, ratios, strict=True)], 1)
    return _only(points, (clean[0].max(1) + clean[1].max(1)) / 2)


def _read_movenet(outputs: Mapping[str, Array], reading: Reading) -> Found:
    """[1, k, 3] with y, x of 0 to 1 and score; or [n, 3 k + 5] for several, with a box and a score at the end."""
    height, width = reading.size
    array = np.asarray(outputs.get(reading.values["points"], ()))
    if array.ndim and array.shape[-1] == 3:
        table = taken(outputs, reading.values["points"], 2, 3)
        return _only(table[:, [1, 0]] * np.array([width, height]), table[:, 2])
    table = taken(outputs, reading.values["points"], 2)
    if table.shape[1] < 8 or (table.shape[1] - 5) % 3:
        raise InputError(
            f"output {reading.values['points']!r} has {table.shape[1]} values a pose, not 3 k + 5; {AGAIN}"
        )
    points = table[:, :-5].reshape(len(table), -1, 3)[..., [1, 0, 2]] * np.array([width, height, 1])
    boxes = table[:, [-4, -5, -2, -3]] * np.array([width, height, width, height])
    return Found(points, table[:, -1], boxes)


def _read_landmarks(outputs: Mapping[str, Array], reading: Reading) -> Found:
    """See landmarks.py; the box is around the points."""
    points, scores = landmarks.read(outputs, reading)
    corners = np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], 1)
    return Found(points, scores, corners)


def _read_yolo(outputs: Mapping[str, Array], reading: Reading) -> Found:
    """Boxes with a score per class and k points of x, y and perhaps a visibility."""
    count = int(number(reading.options, "points", 17, 1, MOST_POINTS))
    size = int(number(reading.options, "dimensions", 3, 2, 3))
    classes = int(number(reading.options, "classes", 1, 1, MOST_POINTS))
    if reading.options.get("ended"):
        found = read_rows(outputs, reading, "boxes", count * size)
    else:
        found = read_as("yolov8", outputs, reading, classes)
    if found.extras is None or found.extras.shape[1] != count * size:
        raise InputError(f"the boxes do not have {count} points of {size} values; {AGAIN}")
    kept, scores, kinds = Limits.of(reading.options, 0.25, 0.45).select(found)
    points = found.extras[kept].reshape(-1, count, size)
    if size == 2:
        points = np.concatenate([points, np.ones((*points.shape[:2], 1), points.dtype)], 2)
    if reading.options.get("unit"):
        points = points * np.array([reading.size[1], reading.size[0], 1])
    return Found(points, scores, found.boxes[kept], kinds)


HEADS = {
    "heatmaps": PoseHead(("maps",), _read_heatmaps),
    "simcc": PoseHead(("x", "y"), _read_simcc),
    "landmarks": PoseHead(("points", "score"), _read_landmarks),
    "movenet": PoseHead(("points",), _read_movenet, 0.25),
    "yolo": PoseHead(("boxes",), _read_yolo),
}
