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
from partway.tasks.heads import ended, yolo_guess
from partway.tasks.heads.head import Size
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
    if task == "classify":
        return classify.ENTRY.recognise(outputs, size)
    if task == "segment":
        return segment.ENTRY.recognise(outputs, size)
    if task == "pose":
        return _pose(metadata, outputs, size, classes or 1)
    found = [*ended.recognise_rows(outputs, size), *yolo_guess.recognise(outputs, size)]
    fitting = [guess for guess in found if guess.output.get("classes", classes) == classes] or found
    return next((guess for guess in fitting if bool(guess.output.get("angle")) == (task == "obb")), None)


def _pose(metadata: Mapping[str, str], outputs: Mapping[str, Array], size: Size | None, classes: int) -> Guess | None:
    """By ``kpt_shape`` [points, 2 or 3]; the number of classes leaves no doubt about the channels."""
    shape, dense = _literal(metadata.get("kpt_shape", "")), yolo_guess.find(outputs, size)
    if not isinstance(shape, list | tuple) or len(shape) != 2 or not all(type(side) is int for side in shape):
        return pose.ENTRY.recognise(outputs, size)
    if dense is None or dense.anchors.shape[1] != 4 + classes + shape[0] * shape[1] or shape[1] not in (2, 3):
        return None
    entry = {
        "kind": "pose", "head": "yolo", "values": {"boxes": dense.name}, "size": list(dense.size), "classes": classes,
        "points": shape[0], "dimensions": shape[1], "transposed": dense.transposed, **dense.options,
    }  # fmt: skip
    return Guess(entry, f"{dense.reason}, {classes} classes and {shape[0]} points")
