"""Outputs of detectors that find given boxes: what a head reads, written the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np

from partway.tasks.arrays.grids import cells

Array = np.ndarray[Any, Any]
Size = tuple[int, int]
SIZE = (96, 128)
CLASSES = 6
WEAK = 0.01


def spread(boxes: Array, size: Size = SIZE, per_cell: int = 1) -> tuple[Array, Array, Array]:
    """Each cell's own box and which cells hold ``boxes``: the cell of stride 8 that a box's centre lies in.

    Gives centres and sides [n, 4], and the rows of the boxes.
    """
    places, strides = cells(size, (8, 16, 32), per_cell)
    everywhere = np.concatenate([(places + 0.5) * strides[:, None], np.stack([strides, strides], 1)], 1)
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    columns = -(-size[1] // 8)
    rows = (middles[:, 1] // 8 * columns + middles[:, 0] // 8).astype(int) * per_cell
    everywhere[rows] = np.concatenate([middles, sides], 1)
    return everywhere.astype(np.float32), rows, strides


def scored(length: int, rows: Array, scores: Array, classes: Array) -> Array:
    """Class scores [length, classes], weak but for the boxes'."""
    table = np.full((length, CLASSES), WEAK, np.float32)
    table[rows, classes] = scores
    return table


def yolov8(boxes: Array, scores: Array, classes: Array, size: Size = SIZE) -> Array:
    """[1, 4 + classes, anchors]."""
    everywhere, rows, _ = spread(boxes, size)
    return np.concatenate([everywhere, scored(len(everywhere), rows, scores, classes)], 1).T[None]


def yolov5(boxes: Array, scores: Array, classes: Array, size: Size = SIZE) -> Array:
    """[1, anchors, 5 + classes], three anchors a cell; the score is objectness times class."""
    everywhere, rows, _ = spread(boxes, size, 3)
    gate = np.full((len(everywhere), 1), WEAK, np.float32)
    gate[rows] = 0.9
    return np.concatenate([everywhere, gate, scored(len(everywhere), rows, scores / 0.9, classes)], 1)[None]


def yolox(boxes: Array, scores: Array, classes: Array, size: Size = SIZE) -> Array:
    """[1, anchors, 5 + classes], offsets from the grid."""
    everywhere, rows, strides = spread(boxes, size)
    places, _ = cells(size, (8, 16, 32))
    offsets = everywhere[:, :2] / strides[:, None] - places
    gate = np.full((len(everywhere), 1), WEAK, np.float32)
    gate[rows] = 0.9
    sides = np.log(everywhere[:, 2:] / strides[:, None])
    return np.concatenate([offsets, sides, gate, scored(len(everywhere), rows, scores / 0.9, classes)], 1)[None]


def unit(boxes: Array, size: Size = SIZE) -> Array:
    """Boxes [n, 4] in pixels as shares of the input's width and height."""
    return (boxes / np.array([size[1], size[0], size[1], size[0]])).astype(np.float32)
