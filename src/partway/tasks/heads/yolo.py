"""YOLO heads of one output: v5 and v7 (objectness times class), v8 and v11 (classes only), and YOLOX (grid offsets).

v5 and v8: https://docs.ultralytics.com; YOLOX: https://arxiv.org/abs/2107.08430, which multiplies offsets by the stride
and takes the exponential of width and height.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.boxes import corners, upright
from partway.tasks.arrays.grids import cells, strides_of
from partway.tasks.arrays.reading import AGAIN, sigmoid, taken
from partway.tasks.heads.head import Candidates, Head, Reading, Size
from partway.tasks.heads.yolo_guess import recognise
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
STYLES: dict[str, dict[str, Any]] = {
    "yolov5": {"objectness": True},
    "yolov8": {"transposed": True},
    "yolox": {"objectness": True, "raw": True},
}
"""``transposed``: channels before anchors. ``objectness``: a score before the classes that multiplies them. ``raw``:
offsets from the grid. Further options: ``unit``: coordinates of 0 to 1. ``logits``: a sigmoid is yet to be applied.
``angle``: the last channel turns the box, in radians."""


def read_as(style: str, outputs: Mapping[str, Array], reading: Reading, classes: int | None = None) -> Candidates:
    """Candidates of a YOLO output. Channels after ``classes`` are extras; without a number all channels are classes."""
    options = {**STYLES[style], **reading.options}
    name = reading.values["boxes"]
    array = taken(outputs, name, 2)
    array = array.T if options.get("transposed") else array
    first, angle = 5 if options.get("objectness") else 4, bool(options.get("angle"))
    last = array.shape[1] - angle if classes is None else first + classes
    if not first < last <= array.shape[1]:
        raise InputError(f"output {name!r} has {array.shape[1]} channels, {_wanted(style, first, classes)}; {AGAIN}")
    scores = array[:, first:last]
    gate = array[:, 4:5] if options.get("objectness") else None
    if options.get("logits"):
        scores, gate = sigmoid(scores), None if gate is None else sigmoid(gate)
    boxes = from_grid(array[:, :4], reading.size) if options.get("raw") else array[:, :4]
    if options.get("unit"):
        boxes = boxes * np.array([reading.size[1], reading.size[0]] * 2, np.float32)
    if angle:
        boxes = upright(boxes, array[:, -1])
    return Candidates(corners(boxes), scores if gate is None else scores * gate, extras=array[:, last:])


def _wanted(style: str, first: int, classes: int | None) -> str:
    return f"a {style} head has " + (f"more than {first}" if classes is None else f"at least {first + classes}")


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
