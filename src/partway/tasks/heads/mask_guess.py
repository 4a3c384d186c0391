"""Which head of segmentation outputs belong to: maps on the input's grid, or YOLO boxes beside prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from partway.tasks.arrays.reading import are_shares
from partway.tasks.heads.head import Size, rows
from partway.tasks.heads.masks import MOST_CLASSES
from partway.tasks.heads.yolo_guess import Dense, find
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]


def recognise(outputs: Mapping[str, Array], size: Size | None) -> Guess | None:
    """Maps as large as the input, or a whole fraction of it; YOLO boxes beside prototypes."""
    found = _yolo(outputs, size) if len(outputs) == 2 else None
    if found is not None or size is None:
        return found
    maps = [guess for name, array in outputs.items() if (guess := _one(name, array, size)) is not None]
    if not maps or len(maps) < len(outputs):
        return None
    return maps[0] if len(maps) == 1 else replace(maps[0], certain=False)  # further outputs, such as an auxiliary head


def _one(name: str, array: Array, size: Size) -> Guess | None:
    if array.ndim in (3, 4) and array.dtype.kind in "iu" and array.squeeze().shape == tuple(size):
        entry = {"kind": "segment", "head": "indices", "values": {"maps": name}, "size": list(size)}
        return Guess(entry, "whole numbers for each pixel of the input", True)
    return _maps(name, array, size) if array.ndim == 4 and array.shape[0] == 1 and array.dtype.kind == "f" else None


def _maps(name: str, array: Array, size: Size) -> Guess | None:
    entry: dict[str, Any] = {"kind": "segment", "values": {"maps": name}, "size": list(size)}
    for layout, maps in (("NCHW", array[0]), ("NHWC", np.moveaxis(array[0], -1, 0))):
        step = _step((maps.shape[1], maps.shape[2]), size)
        if not step or not np.isfinite(maps).all():
            continue
        if len(maps) == 1:
            raw = {} if are_shares(maps) else {"sigmoid": True}
            reason = f"one map {_times(step)} the input's size, {'of 0 to 1' if not raw else 'of any values'}"
            return Guess({**entry, "head": "one", "classes": 1, **raw}, reason, likely=0.2 if raw else 0.4)
        if len(maps) <= MOST_CLASSES:
            shares = are_shares(maps) and bool(np.abs(maps.sum(0, dtype=np.float64) - 1).max() < 1e-2)
            more = {"head": "classes", "layout": layout, "classes": len(maps), "softmax": not shares}
            reason = f"{len(maps)} maps {_times(step)} the input's size"
            sure = shares or (len(maps) > 4 and step == 1)  # up to four channels may be a picture
            return Guess({**entry, **more}, reason, sure, likely=0.5 if len(maps) > 4 else 0.3)
    return None


def _step(shape: tuple[int, int], size: Size) -> int:
    """By which whole number the map is smaller than the input; 0 if by none."""
    step = size[0] // max(shape[0], 1)
    return step if 0 < step <= 8 and tuple(-(-side // step) for side in size) == shape else 0


def _times(step: int) -> str:
    return "of" if step == 1 else f"of 1/{step} of"


def _yolo(outputs: Mapping[str, Array], size: Size | None) -> Guess | None:
    boxes = find({name: array for name, array in outputs.items() if rows(array) is not None}, size)
    others = [(name, array) for name, array in outputs.items() if boxes and name != boxes.name and array.ndim == 4]
    if boxes is None or len(others) != 1 or not boxes.decoded:
        return None
    name, prototypes = others[0]
    layouts = {"NCHW": prototypes[0], "NHWC": np.moveaxis(prototypes[0], -1, 0)}
    layout = next((layout for layout, maps in layouts.items() if _belong(maps, boxes)), None)
    if layout is None:
        return None
    count = len(layouts[layout])
    classes = boxes.anchors.shape[1] - 4 - count
    entry = {
        "kind": "segment", "head": "yolo", "values": {"boxes": boxes.name, "prototypes": name},
        "size": list(boxes.size), "classes": classes, "layout": layout, "transposed": boxes.transposed,
        **boxes.options,
    }  # fmt: skip
    return Guess(entry, f"{boxes.reason}, {classes} classes, {count} prototypes", True)


def _belong(maps: Array, boxes: Dense) -> bool:
    """True if the maps lie on the input's grid, and leave channels of scores to the boxes."""
    classes = boxes.anchors.shape[1] - 4 - len(maps)
    on_grid = _step((maps.shape[1], maps.shape[2]), boxes.size) > 0
    return on_grid and classes > 0 and are_shares(boxes.anchors[:, 4 : 4 + classes])
