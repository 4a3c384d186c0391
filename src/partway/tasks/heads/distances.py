"""Heads that give a cell's distances to the sides of a box: NanoDet (as distributions) and SCRFD (faces, landmarks).

NanoDet: each distance is the mean of a distribution over 0 to ``reg_max`` strides (generalised focal loss,
https://arxiv.org/abs/2006.04388). SCRFD: https://arxiv.org/abs/2105.04714, two anchors a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.grids import cells, counts, strides_of
from partway.tasks.arrays.reading import AGAIN, are_shares, same_rows, sigmoid, softmax, taken
from partway.tasks.heads.head import Candidates, Head, Reading, Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
BINS = 8
FACE_STRIDES = (8, 16, 32)
FACE_ROLES = tuple(f"{part}_{stride}" for part in ("score", "bbox", "kps") for stride in FACE_STRIDES)


def around(centres: Array, distances: Array) -> Array:
    """Boxes [n, 4] of points [n, 2] and their distances to left, top, right, bottom [n, 4]."""
    return np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], 1)


def read_nanodet(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Scores, then four distributions. Centres: cells' corners with four strides (NanoDet-Plus), else middles."""
    name = reading.values["boxes"]
    table = taken(outputs, name, 2)
    layout = strides_of(len(table), reading.size)
    classes = table.shape[1] - 4 * BINS
    if layout is None or classes < 1:
        raise InputError(
            f"output {name!r} has shape {list(table.shape)}, NanoDet gives [anchors, classes + {4 * BINS}] with the"
            f" anchors of an input of {reading.size[0]} x {reading.size[1]}; {AGAIN}"
        )
    places, strides = cells(reading.size, *layout)
    middle = 0.0 if len(layout[0]) == 4 else 0.5
    shares = softmax(table[:, classes:].reshape(len(table), 4, BINS))
    distances = (shares @ np.arange(BINS, dtype=np.float32)) * strides[:, None]
    scores = table[:, :classes]
    boxes = around((places + middle) * strides[:, None], distances)
    return Candidates(boxes, sigmoid(scores) if reading.options.get("logits") else scores)


def recognise_nanodet(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """One output [1, anchors, classes + 32]: scores of 0 to 1, then values that are none."""
    name, array = next(iter(outputs.items()), ("", np.zeros(0)))
    table = rows(array)
    if len(outputs) != 1 or table is None or table.dtype.kind != "f" or table.shape[1] <= 4 * BINS:
        return []
    layout, classes = strides_of(len(table), size), table.shape[1] - 4 * BINS
    rest = table[:, classes:]
    if layout is None or layout[1] != 1 or not are_shares(table[:, :classes]) or are_shares(rest) or rest.max() > 50:
        return []
    reason = f"{len(table)} anchors with {classes} scores and four distributions"
    return [guess("nanodet", {"boxes": name}, size, reason, True, classes=classes)]


def read_scrfd(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Scores, distances in strides, and five landmarks; centres are the cells' corners."""
    parts = {
        part: np.concatenate([taken(outputs, reading.values[f"{part}_{s}"], 2, width) for s in FACE_STRIDES])
        for part, width in (("score", 1), ("bbox", 4), ("kps", 10))
        if f"{part}_8" in reading.values
    }
    places, strides = cells(reading.size, FACE_STRIDES, 2)
    if same_rows(parts) != len(places):
        raise InputError(
            f"the outputs have {len(parts['score'])} anchors, an input of {reading.size[0]} x {reading.size[1]} has"
            f" {len(places)}; {AGAIN}"
        )
    centres = places * strides[:, None]
    boxes = around(centres, parts["bbox"] * strides[:, None])
    if "kps" not in parts:
        return Candidates(boxes, parts["score"])
    points = centres[:, None] + parts["kps"].reshape(-1, 5, 2) * strides[:, None, None]
    return Candidates(boxes, parts["score"], points=np.concatenate([points, np.ones((len(points), 5, 1))], 2))


def recognise_scrfd(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """Six or nine outputs: scores, distances, perhaps landmarks, two for each cell of strides 8, 16 and 32."""
    if size is None or len(outputs) not in (6, 9):
        return []
    widths = {"score": 1, "bbox": 4, **({"kps": 10} if len(outputs) == 9 else {})}
    lengths = dict(zip(FACE_STRIDES, counts(size, FACE_STRIDES, 2), strict=True))
    values: dict[str, str] = {}
    for stride, length in lengths.items():
        for part, width in widths.items():
            shapes = {name: rows(array) for name, array in outputs.items()}
            fitting = [name for name, table in shapes.items() if table is not None and table.shape == (length, width)]
            if not fitting:
                return []
            values[f"{part}_{stride}"] = fitting[0]
    reason = "scores, distances and landmarks of two anchors a cell on the grids of strides 8, 16, 32"
    return [guess("scrfd", values, size, reason, True, classes=1)]


HEADS = {
    "nanodet": Head(("boxes",), read_nanodet, recognise_nanodet, score=0.35, iou=0.6),
    "scrfd": Head(FACE_ROLES[:6], read_scrfd, recognise_scrfd, score=0.5, iou=0.4, labels=("face",)),
}
