"""Heads of segmentation: maps of class scores, of one class, of class numbers, and YOLO's objects with prototypes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.planes import identity, nearest, smooth, window_of
from partway.tasks.arrays.reading import AGAIN, number, sigmoid, softmax, taken
from partway.tasks.arrays.wording import label_of
from partway.tasks.heads.ended import read_rows
from partway.tasks.heads.head import Reading
from partway.tasks.heads.limits import Limits
from partway.tasks.heads.yolo import read_as
from partway.tasks.interface import Geometry

Array = np.ndarray[Any, Any]
MOST_VALUES = 2_000_000
"""How many scores of a map are looked at for a class's mean probability."""
MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """One mask: bool [height, width] of the picture, its class and score."""

    label: str
    index: int
    score: float
    pixels: Array


Read = Callable[[Mapping[str, Array], Reading, Geometry | None, Sequence[str]], list[Found]]


@dataclass(frozen=True, slots=True)
class MaskHead:
    """One head. ``objects``: it tells objects of one class apart. ``check`` raises InputError for a bad entry."""

    roles: Sequence[str]
    read: Read
    check: Callable[[Mapping[str, Any]], object]
    objects: bool = False


def _read_classes(
    outputs: Mapping[str, Array], reading: Reading, geometry: Geometry | None, labels: Sequence[str]
) -> list[Found]:
    """The best class of each pixel, of scores [classes, h, w] or [h, w, classes]."""
    maps = taken(outputs, reading.values["maps"], 3)
    if reading.options.get("layout") == "NHWC":
        maps = np.moveaxis(maps, -1, 0)
    if not maps.size:
        raise InputError(f"output {reading.values['maps']!r} has shape {list(maps.shape)}, it holds no map; {AGAIN}")
    return _by_class(maps.argmax(0), reading, geometry, labels, _shares(maps, bool(reading.options.get("softmax"))))


def _shares(maps: Array, raw: bool) -> dict[int, float]:
    """Each class's mean probability where it is the best, from as many pixels as the limit allows."""
    step = int(np.ceil((maps.size / MOST_VALUES) ** 0.5))
    part = maps[:, ::step, ::step].reshape(len(maps), -1).T
    best = part.argmax(1)
    values = (softmax(part) if raw else part)[np.arange(len(part)), best]
    return {int(index): float(values[best == index].mean()) for index in np.unique(best)}


def _read_indices(
    outputs: Mapping[str, Array], reading: Reading, geometry: Geometry | None, labels: Sequence[str]
) -> list[Found]:
    """Class numbers [h, w]."""
    name = reading.values["maps"]
    squeezed = {name: np.asarray(outputs[name]).squeeze()} if name in outputs else outputs
    numbers = np.nan_to_num(taken(squeezed, name, 2), posinf=-1, neginf=-1)
    return _by_class(numbers.astype(np.int64), reading, geometry, labels, {})


def _by_class(
    numbers: Array, reading: Reading, geometry: Geometry | None, labels: Sequence[str], scores: Mapping[int, float]
) -> list[Found]:
    numbers = nearest(numbers, geometry or identity((numbers.shape[0], numbers.shape[1])))
    background = reading.options.get("background", 0 if labels and "background" in labels[0].lower() else None)
    present = [int(index) for index in np.unique(numbers) if index >= 0 and index != background][:MOST_CLASSES]
    return [Found(label_of(labels, index), index, scores.get(index, 1.0), numbers == index) for index in present]


def _read_one(
    outputs: Mapping[str, Array], reading: Reading, geometry: Geometry | None, labels: Sequence[str]
) -> list[Found]:
    """One map [h, w] of 0 to 1: the class is where it is above the threshold."""
    name = reading.values["maps"]
    squeezed = {name: np.asarray(outputs[name]).squeeze()} if name in outputs else outputs
    plane = taken(squeezed, name, 2)
    plane = np.nan_to_num(sigmoid(plane) if reading.options.get("sigmoid") else plane, nan=0.0)
    shares = smooth(plane, geometry or identity((plane.shape[0], plane.shape[1])))
    pixels = shares > number(reading.options, "score", 0.5)
    return (
        [Found(label_of(labels or ["foreground"], 0), 0, float(shares[pixels].mean()), pixels)] if pixels.any() else []
    )


def _read_yolo(
    outputs: Mapping[str, Array], reading: Reading, geometry: Geometry | None, labels: Sequence[str]
) -> list[Found]:
    """Boxes with coefficients of prototypes: their weighted sum, a sigmoid, and the box give an object's mask."""
    prototypes = taken(outputs, reading.values["prototypes"], 3)
    if reading.options.get("layout") == "NHWC":
        prototypes = np.moveaxis(prototypes, -1, 0)
    classes = int(number(reading.options, "classes", 1, 1, MOST_CLASSES))
    if reading.options.get("ended"):
        found = read_rows(outputs, reading, "boxes", len(prototypes))
    else:
        found = read_as("yolov8", outputs, reading, classes)
    if found.extras is None or found.extras.shape[1] != len(prototypes):
        raise InputError(f"the boxes have other coefficients than the {len(prototypes)} prototypes; {AGAIN}")
    kept, scores, kinds = Limits.of(reading.options, 0.25, 0.45).select(found)
    place = geometry or identity(reading.size)
    masks = []
    for row, score, kind in zip(kept.tolist(), scores.tolist(), kinds.tolist(), strict=True):
        box = found.boxes[row].astype(np.float64)
        left, top, right, bottom = window_of(place.to_picture(box.reshape(2, 2)).reshape(4), place)
        pixels = np.zeros((place.height, place.width), bool)
        if right > left and bottom > top:
            plane = np.tensordot(found.extras[row], prototypes, 1)
            pixels[top:bottom, left:right] = smooth(plane, place, (left, top, right, bottom)) > 0
        masks.append(Found(label_of(labels, kind), kind, score, pixels))
    return masks


def _score(output: Mapping[str, Any]) -> object:
    return number(output, "score", 0.5)


def _limits(output: Mapping[str, Any]) -> object:
    return Limits.of(output, 0.25, 0.45), number(output, "classes", 1, 1, MOST_CLASSES)


HEADS = {
    "classes": MaskHead(("maps",), _read_classes, _score),
    "indices": MaskHead(("maps",), _read_indices, _score),
    "one": MaskHead(("maps",), _read_one, _score),
    "yolo": MaskHead(("boxes", "prototypes"), _read_yolo, _limits, objects=True),
}
