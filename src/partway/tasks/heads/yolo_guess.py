"""Which YOLO head an output belongs to: its shape gives the grids, its values tell what the channels are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partway.tasks.arrays.grids import on_grid, strides_of
from partway.tasks.arrays.reading import are_shares
from partway.tasks.heads.head import Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
WIDEST_ANGLE = 3.2


@dataclass(frozen=True)
class Dense:
    """An output with one row per anchor, [anchors, channels], and the grids that give as many anchors."""

    name: str
    anchors: Array
    transposed: bool
    strides: tuple[int, ...]
    per_cell: int
    size: Size

    @cached_property
    def unit(self) -> bool:
        """True if the centres are shares of the input."""
        scale = np.array([self.size[1], self.size[0]], np.float32)
        return on_grid(self.anchors[:, :2] * scale, self.size, self.strides, self.per_cell)

    @cached_property
    def decoded(self) -> bool:
        """True if the centres lie in their cells, in pixels or as shares."""
        return self.unit or on_grid(self.anchors[:, :2], self.size, self.strides, self.per_cell)

    @property
    def reason(self) -> str:
        """What speaks for it."""
        place = "centres in them" if self.decoded else "offsets from them"
        return f"{len(self.anchors)} anchors, the grids of strides {', '.join(map(str, self.strides))}, {place}"

    @property
    def options(self) -> dict[str, Any]:
        """For the plan's entry."""
        return {"unit": True} if self.unit else {}


def find(outputs: Mapping[str, Array], size: Size | None) -> Dense | None:
    """The one output whose anchors are a sum of grids; None if there is none, or several."""
    found = []
    for name, array in outputs.items():
        table = rows(array)
        if size is None or table is None or table.dtype.kind != "f" or not np.isfinite(table).all():
            continue
        for transposed in (False, True):
            anchors = table.T if transposed else table
            layout = strides_of(len(anchors), size)
            if layout is not None and anchors.shape[1] > 4:
                found.append(Dense(name, anchors, transposed, *layout, size))
    return found[0] if len(found) == 1 else None


def recognise(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """YOLO detectors. Values tell decoded from raw, pixels from 0..1. Maps of five axes are unread."""
    found = find(outputs, size)
    others = [array for name, array in outputs.items() if found and name != found.name and array.ndim < 5]
    if found is None or others:
        return []
    if found.transposed:
        return _entry(found, "yolov8", 4, True) if found.decoded else _entry(found, "yolox", 5, False, transposed=True)
    if not found.decoded:
        return _entry(found, "yolox", 5, True) if found.per_cell == 1 else []
    if found.per_cell > 1:
        return _entry(found, "yolov5", 5, True)
    return _entry(found, "yolov5", 5, False) + _entry(found, "yolov8", 4, False, transposed=False)


def _entry(found: Dense, style: str, first: int, certain: bool, **more: Any) -> list[Guess]:
    scores = found.anchors[:, 4:]
    classes = found.anchors.shape[1] - first
    if _last_is_an_angle(scores) and style == "yolov8":
        more["angle"], classes = True, classes - 1
    elif not are_shares(scores):
        if not _are_logits(scores):
            return []
        more["logits"], certain = True, False
    if classes < 1:
        return []
    reason = f"{found.reason}, {classes} classes"
    return [guess(style, {"boxes": found.name}, found.size, reason, certain, classes=classes, **more, **found.options)]


def _last_is_an_angle(scores: Array) -> bool:
    angles = scores[:, -1]
    return are_shares(scores[:, :-1]) and not are_shares(angles) and bool(np.abs(angles).max() <= WIDEST_ANGLE)


def _are_logits(scores: Array) -> bool:
    """Of most anchors and classes nothing is there."""
    return bool(np.median(scores) < 0 and np.abs(scores).max() < 100)
