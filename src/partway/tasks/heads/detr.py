"""DETR and its kin: a few hundred queries, each with class scores and a box; nothing is suppressed.

DETR (https://arxiv.org/abs/2005.12872) has a softmax whose last class is "nothing"; RT-DETR a sigmoid for each class.
Boxes are centre, width and height of 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.tasks.arrays.boxes import corners
from partway.tasks.arrays.grids import strides_of
from partway.tasks.arrays.reading import are_shares, same_rows, sigmoid, softmax, taken
from partway.tasks.heads.head import Candidates, Head, Reading, Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
MOST_QUERIES = 1000


def read(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Boxes and scores of separate outputs, or of one with the box first."""
    options = reading.options
    if "scores" in reading.values:
        boxes = taken(outputs, reading.values["boxes"], 2, 4)
        scores = taken(outputs, reading.values["scores"], 2)
        same_rows({reading.values["boxes"]: boxes, reading.values["scores"]: scores})
    else:
        table = taken(outputs, reading.values["boxes"], 2)
        boxes, scores = table[:, :4], table[:, 4:]
    if options.get("activation") == "softmax":
        scores = softmax(scores)[:, :-1]
    elif options.get("activation") == "sigmoid":
        scores = sigmoid(scores)
    height, width = reading.size
    return Candidates(corners(boxes * np.array([width, height, width, height], np.float32)), scores, final=True)


def recognise(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """Boxes of 0 to 1 and scores for as many queries, in two outputs or one; queries are no grid of the input."""
    tables = {name: table for name, array in outputs.items() if (table := rows(array)) is not None}
    if len(tables) != len(outputs) or any(table.dtype.kind != "f" for table in tables.values()):
        return []
    if len(tables) == 1:
        return _joined(*next(iter(tables.items())), size)
    boxes = [name for name, table in tables.items() if table.shape[1] == 4 and _are_queries(table, size)]
    scores = [name for name in tables if name not in boxes]
    if len(tables) != 2 or len(boxes) != 1 or len(tables[boxes[0]]) != len(tables[scores[0]]):
        return []
    found = tables[scores[0]]
    shares = are_shares(found)
    usual = "softmax" if found.shape[1] in (92, 251) else "sigmoid"  # COCO and panoptic COCO with "nothing"
    values = {"boxes": boxes[0], "scores": scores[0]}
    return [_guess(values, size, found.shape[1], len(found), "" if shares else usual)]


def _joined(name: str, table: Array, size: Size | None) -> list[Guess]:
    fits = table.shape[1] > 6 and _are_queries(table, size) and are_shares(table[:, 4:])
    return [_guess({"boxes": name}, size, table.shape[1] - 4, len(table), "")] if fits else []


def _are_queries(table: Array, size: Size | None) -> bool:
    few = 1 < len(table) <= MOST_QUERIES and strides_of(len(table), size) is None
    return few and are_shares(table[:, :4]) and bool((table[:, 2:4] < table[:, :2]).any())


def _guess(values: Mapping[str, str], size: Size | None, scores: int, queries: int, activation: str) -> Guess:
    classes = scores - (activation == "softmax")
    reason = f"{queries} queries with a box of 0 to 1 and {classes} classes"
    # scores that need a function leave it open which one
    return guess("detr", values, size, reason, not activation, classes=classes, activation=activation)


HEADS = {"detr": Head(("boxes",), read, recognise, score=0.5)}
