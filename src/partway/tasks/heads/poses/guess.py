"""Which head of poses outputs belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.tasks.arrays.keypoints import COCO_NAMES
from partway.tasks.arrays.reading import are_shares
from partway.tasks.heads.head import Size, rows
from partway.tasks.heads.poses import landmarks
from partway.tasks.heads.yolo_guess import Dense, find
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
HEATMAP_STEPS = (2, 4, 8)
SEVERAL = 6, 56
"""MoveNet's answer for several persons: 6 poses of 17 points, box and score."""


def recognise(outputs: Mapping[str, Array], size: Size | None) -> Guess | None:
    """YOLO boxes whose further channels are points in the picture; MoveNet's tables; SimCC's pairs; heatmaps."""
    if size is None:
        return None
    if (found := landmarks.recognise(outputs, size)) is not None:
        return found
    if len(outputs) == 2:
        return _simcc(outputs, size)
    if len(outputs) != 1:
        return None
    name, array = next(iter(outputs.items()))
    dense = find(outputs, size)
    if dense is not None and dense.decoded:
        return _yolo(dense)
    return _movenet(name, array, size) or _heatmaps(name, array, size)


def _yolo(dense: Dense) -> Guess | None:
    channels = dense.anchors.shape[1]
    for dimensions in (3, 2):
        count, rest = divmod(channels - 5, dimensions)
        if rest or count < 1 or not are_shares(dense.anchors[:, 4]):
            continue
        points = dense.anchors[:, 5:].reshape(len(dense.anchors), count, dimensions)
        if (dimensions == 3 and not are_shares(points[..., 2])) or not _near(points[..., :2], dense):
            continue
        entry = {
            "kind": "pose", "head": "yolo", "values": {"boxes": dense.name}, "size": list(dense.size), "classes": 1,
            "points": count, "dimensions": dimensions, "transposed": dense.transposed, **dense.options,
        }  # fmt: skip
        return Guess(entry, f"{dense.reason}, a score and {count} points", True)
    return None


def _near(points: Array, dense: Dense) -> bool:
    """True if most points lie near the input, and they are no scores."""
    limits = np.array([1.0, 1.0]) if dense.unit else np.array([dense.size[1], dense.size[0]])
    near = ((points > -0.5 * limits) & (points < 1.5 * limits)).mean() > 0.8
    return bool(near and np.std(points / limits) > 0.05)


def _movenet(name: str, array: Array, size: Size) -> Guess | None:
    table = rows(array)
    if table is None or table.dtype.kind != "f" or array.ndim < 3:
        return None
    one = table.shape == (len(COCO_NAMES), 3) and are_shares(table[:, 2]) and np.abs(table).max() < 2
    if not one and not (table.shape == SEVERAL and are_shares(table[:, -1])):
        return None
    entry = {"kind": "pose", "head": "movenet", "values": {"points": name}, "size": list(size), "classes": 1}
    return Guess(entry, "17 points with y, x and score of 0 to 1", True)


def _simcc(outputs: Mapping[str, Array], size: Size) -> Guess | None:
    tables = {name: table for name, array in outputs.items() if (table := rows(array)) is not None and len(table)}
    for ratio in (2, 1, 3, 4):
        across = [name for name, table in tables.items() if table.shape[1] == size[1] * ratio]
        down = [name for name, table in tables.items() if table.shape[1] == size[0] * ratio and name not in across[:1]]
        if across and down and len(tables[across[0]]) == len(tables[down[0]]):
            count = len(tables[across[0]])
            values = {"x": across[0], "y": down[0]}
            entry = {"kind": "pose", "head": "simcc", "values": values, "size": list(size), "classes": 1}
            reason = f"distributions of {count} points over {ratio} times the input's width and height"
            return Guess(entry, reason, count > 4)
    return None


def _heatmaps(name: str, array: Array, size: Size) -> Guess | None:
    if array.ndim != 4 or array.shape[0] != 1 or array.dtype.kind != "f" or not np.isfinite(array).all():
        return None
    for layout, maps in (("NCHW", array[0]), ("NHWC", np.moveaxis(array[0], -1, 0))):
        fits = any(tuple(side // step for side in size) == maps.shape[1:] for step in HEATMAP_STEPS)
        if fits and 4 < len(maps) <= 200 and np.median(maps) < 0.5 * maps.max():
            count = len(maps)
            entry = {
                "kind": "pose", "head": "heatmaps", "values": {"maps": name}, "size": list(size), "layout": layout,
                "classes": 1,
            }  # fmt: skip
            likely = 0.6 if count in (16, 17, 21, 68, 98, 133) else 0.2
            return Guess(entry, f"{count} maps smaller than the input, one for each point", likely=likely)
    return None
