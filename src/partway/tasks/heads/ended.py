"""Models that end in their own suppression: TensorFlow's SSD post-processing, YOLOv10, torchvision, TensorRT's NMS.

``TFLite_Detection_PostProcess`` gives boxes [1, n, 4] as top, left, bottom, right of 0 to 1, class numbers and scores
[1, n], and how many of the n count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.boxes import corners, upright
from partway.tasks.arrays.reading import AGAIN, are_shares, same_rows, taken
from partway.tasks.heads.head import Candidates, Head, Reading, Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
COLUMNS = {
    "xyxysc": ([0, 1, 2, 3], 4, 5),
    "bxyxycs": ([1, 2, 3, 4], 6, 5),
    "csxyxy": ([2, 3, 4, 5], 1, 0),
    "byxyxsc": ([2, 1, 4, 3], 5, 6),
}
"""Order of a row: b the picture in the batch, x y corners, s the score, c the class. Boxes, score, class columns."""
NAMES = {
    "boxes": "detection_boxes",
    "classes": "detection_classes",
    "scores": "detection_scores",
    "count": "num_detections",
}
"""Of TensorFlow's detectors, which have further outputs."""


def _in_pixels(boxes: Array, reading: Reading) -> Array:
    if reading.options.get("rows_first"):
        boxes = boxes[:, [1, 0, 3, 2]]
    if reading.options.get("centres"):
        boxes = corners(boxes)
    if reading.options.get("unit"):
        height, width = reading.size
        boxes = boxes * np.array([width, height, width, height], np.float32)
    return boxes


def _whole(values: Array, offset: int) -> Array:
    """Class numbers from ``offset`` on; what is no number is class 0, and has no score that counts."""
    return np.nan_to_num(values, posinf=0, neginf=0).clip(-(2**31), 2**31).round().astype(np.int64) - offset


def read_lists(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Separate boxes, classes and scores, and perhaps a count."""
    options = reading.options
    boxes = taken(outputs, reading.values["boxes"], 2, 4)
    parts = {role: taken(outputs, reading.values[role], 1) for role in ("classes", "scores")}
    same_rows({reading.values["boxes"]: boxes, **{reading.values[role]: part for role, part in parts.items()}})
    if "count" in reading.values:
        count = taken(outputs, reading.values["count"], 1, 1)[0]
        length = int(count) if np.isfinite(count) and 0 <= count <= len(boxes) else len(boxes)
        boxes, parts = boxes[:length], {role: part[:length] for role, part in parts.items()}
    classes = _whole(parts["classes"], int(options.get("first_class", 0)))
    return Candidates(_in_pixels(boxes, reading), parts["scores"][:, None], classes, final=True)


def read_rows(outputs: Mapping[str, Array], reading: Reading, role: str = "rows", extras: int = 0) -> Candidates:
    """One output of rows that hold box, score and class, and after them ``extras`` further values.

    Options: ``centres``: boxes are centre, width and height; ``angle``: the only further value turns them.
    """
    order = str(reading.options.get("columns", "xyxysc"))
    if order not in COLUMNS:
        raise InputError(f"columns {order!r} are not known, only {', '.join(COLUMNS)}; {AGAIN}")
    box, score, kind = COLUMNS[order]
    angle = bool(reading.options.get("angle"))
    table = taken(outputs, reading.values[role], 2, len(order) + extras + angle)
    classes = _whole(table[:, kind], int(reading.options.get("first_class", 0)))
    boxes = upright(table[:, box], table[:, -1]) if angle else table[:, box]
    boxes = _in_pixels(boxes, reading)
    return Candidates(boxes, table[:, [score]], classes, extras=table[:, len(order) :], final=True)


def recognise_rows(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """An output [n, 6] or [n, 7] with whole class numbers, scores of 0 to 1 and corners in order, or centres."""
    tables = {name: table for name, array in outputs.items() if (table := rows(array)) is not None}
    if len(tables) != 1 or any(array.size > 1 for name, array in outputs.items() if name not in tables):
        return []
    (name, table), found = next(iter(tables.items())), []
    for order, (box, score, _) in COLUMNS.items():
        if table.shape[1] != len(order) or table.dtype.kind != "f":
            continue
        more = _box_options(table, order)
        if more is not None:
            several = len(table) > 1 or (outputs[name].ndim > 2 and len(table) > 0)  # [1, 6] may be six classes
            known = bool(several and table[:, score].any() and np.ptp(table[:, box]) > 0)
            reason = f"rows of {len(order)} values: box, score and class"
            found.append(guess("rows", {"rows": name}, size, reason, known, columns=order, **more))
    return found


def _box_options(table: Array, order: str) -> dict[str, Any] | None:
    """Whether boxes are of 0 to 1, and centres; None if the columns do not hold boxes, scores and class numbers."""
    box, score, kind = COLUMNS[order]
    if not len(table):
        return {}
    boxes, scores, classes = table[:, box], table[:, score], table[:, kind]
    if not (are_shares(scores) and np.isfinite(boxes).all() and (classes == classes.round()).all()):
        return None
    unit = {"unit": True} if np.abs(boxes).max() <= 2 else {}
    if (boxes[:, 2:] >= boxes[:, :2]).all():
        return unit
    return {**unit, "centres": True} if unit and are_shares(boxes) else None


def recognise_lists(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """Boxes [n, 4], classes [n], scores [n], and perhaps a count: by names where they tell, else by values."""
    roles = _roles(outputs)
    if roles is None:
        return []
    boxes, classes = rows(outputs[roles["boxes"]]), outputs[roles["classes"]]
    whole_classes = classes.dtype.kind in "iu"
    tensorflow = "count" in roles and outputs[roles["count"]].dtype.kind == "f"
    unit = tensorflow or bool(boxes is not None and boxes.size and np.abs(boxes).max() <= 2)
    more: dict[str, Any] = {"unit": True} if unit else {}
    if tensorflow:
        more["rows_first"] = True
    certain = tensorflow or whole_classes
    order = "top, left, bottom, right" if tensorflow else "left, top, right, bottom"
    return [guess("lists", roles, size, f"lists of boxes ({order}), classes and scores", certain, **more)]


def _roles(outputs: Mapping[str, Array]) -> dict[str, str] | None:
    named = {role: name for role, word in NAMES.items() for name in outputs if name.partition(":")[0] == word}
    if len(named) == len(NAMES):
        return named
    outputs = {name: array for name, array in outputs.items() if array.ndim < 4}  # masks of the boxes are not read
    sizes = [array.size for array in outputs.values()]
    boxes = [
        name
        for name, array in outputs.items()
        if array.ndim in (2, 3) and array.shape[-1] == 4 and sizes.count(array.size // 4) > (array.size == 0) + 1
    ]
    if len(boxes) != 1 or len(outputs) not in (3, 4):
        return None
    length = outputs[boxes[0]].size // 4
    lists = [name for name, array in outputs.items() if name not in boxes and array.size == length and array.ndim < 3]
    counts = [name for name, array in outputs.items() if name not in (*boxes, *lists) and array.size == 1]
    if length == 1 and len(lists) == 3:
        lists, counts = lists[:2], lists[2:]
    if len(lists) != 2 or len(counts) != len(outputs) - 3:
        return None
    classes = _which_are_classes(lists, outputs)
    scores = next(name for name in lists if name != classes)
    return {"boxes": boxes[0], "classes": classes, "scores": scores} | ({"count": counts[0]} if counts else {})


def _which_are_classes(lists: list[str], outputs: Mapping[str, Array]) -> str:
    """By dtype, by name, by values; TensorFlow's order has classes first."""
    for name in lists:
        if outputs[name].dtype.kind in "iu":
            return name
    for name in lists:
        if any(word in name.lower() for word in ("class", "label")):
            return name
    whole = [name for name in lists if outputs[name].size and (outputs[name] == outputs[name].round()).all()]
    return whole[0] if len(whole) == 1 else lists[0]


HEADS = {
    "lists": Head(("boxes", "classes", "scores"), read_lists, recognise_lists, score=0.5),
    "rows": Head(("rows",), read_rows, recognise_rows),
}
