"""YOLO heads of one output: v5 and v7 (objectness times class), v8 and v11 (classes only), and YOLOX (grid offsets).

v5 and v8: https://docs.ultralytics.com; YOLOX: https://arxiv.org/abs/2107.08430, which multiplies offsets by the stride
and takes the exponential of width and height.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.boxes import corners
from partway.tasks.arrays.grids import cells, on_grid, strides_of
from partway.tasks.arrays.reading import AGAIN, are_shares, sigmoid, taken
from partway.tasks.heads.head import Candidates, Head, Reading, Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
STYLES: dict[str, dict[str, Any]] = {
    "yolov5": {"objectness": True},
    "yolov8": {"transposed": True},
    "yolox": {"objectness": True, "raw": True},
}
"""``transposed``: channels before anchors. ``objectness``: a score before the classes that multiplies them. ``raw``:
offsets from the grid. Further: ``unit``: coordinates of 0 to 1. ``logits``: a sigmoid is yet to be applied."""


def read_as(style: str, outputs: Mapping[str, Array], reading: Reading, classes: int | None = None) -> Candidates:
    """Candidates of a YOLO output. Channels after ``classes`` are extras."""
    options = {**STYLES[style], **reading.options}
    name = reading.values["boxes"]
    array = taken(outputs, name, 2)
    array = array.T if options.get("transposed") else array
    first = 5 if options.get("objectness") else 4
    if array.shape[1] <= first:
        raise InputError(
            f"output {name!r} has {array.shape[1]} channels, a {style} head has more than {first}; {AGAIN}"
        )
    last = array.shape[1] if classes is None else first + classes
    scores = array[:, first:last]
    gate = array[:, 4:5] if options.get("objectness") else None
    if options.get("logits"):
        scores, gate = sigmoid(scores), None if gate is None else sigmoid(gate)
    boxes = _boxes(array[:, :4], options, reading.size)
    return Candidates(boxes, scores if gate is None else scores * gate, extras=array[:, last:])


def _boxes(boxes: Array, options: Mapping[str, Any], size: Size) -> Array:
    if options.get("raw"):
        return corners(from_grid(boxes, size))
    if options.get("unit"):
        boxes = boxes * np.array([size[1], size[0], size[1], size[0]], np.float32)
    return corners(boxes)


def from_grid(boxes: Array, size: Size) -> Array:
    """YOLOX's offsets [n, 4] as centre, width and height in pixels. Raises InputError if n does not fit the size."""
    layout = strides_of(len(boxes), size)
    if layout is None:
        raise InputError(
            f"the output has {len(boxes)} anchors, which is no sum of grids of an input of {size[0]} x {size[1]};"
            f" {AGAIN}"
        )
    places, strides = cells(size, *layout)
    with np.errstate(over="ignore"):
        sides = np.exp(boxes[:, 2:4])
    return np.concatenate([boxes[:, :2] + places, sides], 1) * strides[:, None]


def find(
    outputs: Mapping[str, Array], size: Size | None
) -> tuple[str, Array, bool, tuple[tuple[int, ...], int]] | None:
    """The one output whose anchors are a sum of grids: name, [anchors, channels], transposed, strides and per cell."""
    found = []
    for name, array in outputs.items():
        table = rows(array)
        if table is None or table.dtype.kind != "f":
            continue
        for transposed in (False, True):
            anchors = table.T if transposed else table
            layout = strides_of(len(anchors), size)
            if layout is not None and anchors.shape[1] > 4:
                found.append((name, anchors, transposed, layout))
    return found[0] if len(found) == 1 else None


def recognise(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """YOLO heads of an output whose anchors are a sum of grids. Values tell decoded from raw, pixels from 0..1."""
    found = find(outputs, size)
    others = [array for name, array in outputs.items() if found and name != found[0] and array.ndim < 5]
    if found is None or size is None or others:
        return []
    name, anchors, transposed, (strides, per_cell) = found
    scale = np.array([size[1], size[0]], np.float32)
    unit = on_grid(anchors[:, :2] * scale, size, strides, per_cell)
    decoded = unit or on_grid(anchors[:, :2], size, strides, per_cell)
    grids = f"{len(anchors)} anchors, the grids of strides {', '.join(map(str, strides))}"
    common: dict[str, Any] = {"unit": True} if unit else {}

    def entry(style: str, first: int, certain: bool, **more: Any) -> list[Guess]:
        classes = anchors.shape[1] - first
        scores = anchors[:, 4:]
        if classes < 1 or not np.isfinite(scores).all():
            return []
        if not are_shares(scores):
            more["logits"], certain = True, False
        reason = f"{grids}, {'centres in them' if decoded else 'offsets from them'}, {classes} classes"
        return [guess(style, {"boxes": name}, size, reason, certain, classes=classes, **more, **common)]

    if transposed:
        return entry("yolov8", 4, decoded) if decoded else entry("yolox", 5, False, transposed=True)
    if not decoded:
        return entry("yolox", 5, per_cell == 1 and are_shares(anchors[:, 4:])) if per_cell == 1 else []
    if per_cell > 1:
        return entry("yolov5", 5, True)
    return entry("yolov5", 5, False) + entry("yolov8", 4, False, transposed=False)


def _head(style: str, recognise: Any) -> Head:
    def read(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
        return read_as(style, outputs, reading)

    return Head(("boxes",), read, recognise)


def _none(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    return []


HEADS = {
    "yolov8": _head("yolov8", recognise),
    "yolov5": _head("yolov5", _none),  # recognise tells all three apart
    "yolox": _head("yolox", _none),
}
