"""What Ultralytics' exporter writes into a model's metadata: task, class names, size, and shape of the keypoints.

https://docs.ultralytics.com/modes/export: each value is a Python literal in a string.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from partway.tasks import classify, pose, segment
from partway.tasks.heads import detr, ended, yolo_guess
from partway.tasks.heads.head import Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
LONGEST = 1_000_000
"""Characters of a literal; 1,000 ImageNet names have 30,000."""
MOST_NAMES = 100_000
TASKS = ("detect", "segment", "pose", "classify", "obb")


def from_ultralytics(
    metadata: Mapping[str, str], outputs: Mapping[str, Array], input_size: Size | None
) -> Guess | None:
    """The plan's entry that the metadata says, with labels, checked against the outputs of one run.

    None if the metadata is not Ultralytics', or the outputs are not what it says. ``input_size`` is the (height, width)
    of the run; where it is None, ``imgsz`` of the metadata.
    """
    task = metadata.get("task", "detect" if "stride" in metadata else "")  # YOLOv5 writes stride and names only
    if task not in TASKS or "names" not in metadata:
        return None
    size = input_size or size_of(metadata)
    labels = names_of(metadata)
    found = _read(task, metadata, outputs, size, len(labels))
    if found is None:
        return None
    classes = found.output.get("classes")
    fits = labels and classes in (None, len(labels))
    entry = {**found.output, **({"labels": list(labels)} if fits else {})}
    return replace(found, output=entry, reason=f"Ultralytics metadata: {task}; {found.reason}", certain=True, others=())


def names_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The classes' names in order, of ``{0: 'person', …}`` or ``['person', …]``; empty if they cannot be read."""
    found = _literal(metadata.get("names", ""))
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if not isinstance(found, dict) or not 0 < len(found) <= MOST_NAMES:
        return ()
    try:
        names = {int(key): str(value) for key, value in found.items()}
    except (TypeError, ValueError):
        return ()
    return tuple(names[index] for index in range(len(names))) if set(names) == set(range(len(names))) else ()


def size_of(metadata: Mapping[str, str]) -> Size | None:
    """``imgsz``: (height, width) of the input; None if it is not there or cannot be read."""
    size = _literal(metadata.get("imgsz", ""))
    if type(size) is int:
        size = [size, size]
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        return None
    return size[0], size[1]


def _literal(text: str) -> Any:
    """A Python literal; None if it is none, is longer than the limit, or nests too deeply."""
    if not 0 < len(text) <= LONGEST:
        return None
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _read(
    task: str, metadata: Mapping[str, str], outputs: Mapping[str, Array], size: Size | None, classes: int
) -> Guess | None:
    """By the task; the number of classes tells which channels are scores."""
    if task == "classify":
        return classify.ENTRY.recognise(outputs, size)
    if task == "segment":
        return _ended_masks(outputs, size, classes) or segment.ENTRY.recognise(outputs, size)
    if task == "pose":
        return _pose(metadata, outputs, size, classes or 1)
    dense = yolo_guess.find(outputs, size)
    if dense is not None and dense.transposed and classes and dense.anchors.shape[1] == 4 + classes + (task == "obb"):
        more = {"angle": True} if task == "obb" else {}
        values = {"boxes": dense.name}
        return guess("yolov8", values, dense.size, dense.reason, True, classes=classes, **more, **dense.options)
    name = _ended(outputs, 1) if task == "obb" and len(outputs) == 1 else None
    if name is not None:
        return guess("rows", {"rows": name}, size, "rows of turned boxes", True, centres=True, angle=True)
    found = [*ended.recognise_rows(outputs, size), *yolo_guess.recognise(outputs, size), *detr.recognise(outputs, size)]
    fitting = [one for one in found if one.output.get("classes", classes) == classes] or found
    return next((one for one in fitting if bool(one.output.get("angle")) == (task == "obb")), None)


def _pose(metadata: Mapping[str, str], outputs: Mapping[str, Array], size: Size | None, classes: int) -> Guess | None:
    """By ``kpt_shape`` [points, 2 or 3]."""
    shape = _literal(metadata.get("kpt_shape", ""))
    if not isinstance(shape, list | tuple) or len(shape) != 2 or not all(type(side) is int for side in shape):
        return pose.ENTRY.recognise(outputs, size)
    if shape[1] not in (2, 3) or size is None:
        return None
    entry = {"kind": "pose", "head": "yolo", "classes": classes, "points": shape[0], "dimensions": shape[1]}
    dense, values = yolo_guess.find(outputs, size), shape[0] * shape[1]
    if dense is not None and dense.anchors.shape[1] == 4 + classes + values:
        more = {"values": {"boxes": dense.name}, "transposed": dense.transposed, **dense.options}
        return Guess({**entry, **more, "size": list(size)}, f"{dense.reason}, {shape[0]} points")
    name = _ended(outputs, values) if len(outputs) == 1 else None
    if name is None:
        return None
    return Guess(
        {**entry, "values": {"boxes": name}, "ended": True, "size": list(size)}, f"rows with {shape[0]} points"
    )


def _ended_masks(outputs: Mapping[str, Array], size: Size | None, classes: int) -> Guess | None:
    """Rows of box, score, class and coefficients, beside prototypes: overlaps are suppressed already."""
    maps = [name for name, array in outputs.items() if array.ndim == 4]
    name = _ended(outputs, outputs[maps[0]].shape[1]) if len(maps) == 1 and len(outputs) == 2 else None
    if name is None or size is None:
        return None
    entry = {"kind": "segment", "head": "yolo", "values": {"boxes": name, "prototypes": maps[0]}, "size": list(size)}
    return Guess({**entry, "classes": classes, "ended": True}, "rows with coefficients, and prototypes")


def _ended(outputs: Mapping[str, Array], extras: int) -> str | None:
    """The output whose rows have a box, a score, a class number and ``extras`` further values."""
    for name, array in outputs.items():
        table = rows(array)
        if table is not None and table.shape[1] == 6 + extras and (table[:, 5] == table[:, 5].round()).all():
            return name
    return None
