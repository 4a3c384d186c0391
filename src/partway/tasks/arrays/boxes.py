"""Boxes: float [n, 4] with left, top, right, bottom. Overlaps, suppression, and how well two sets agree."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def corners(boxes: Array) -> Array:
    """Boxes [n, 4] of centre, width and height as left, top, right, bottom."""
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], 1)


def upright(boxes: Array, angles: Array) -> Array:
    """Centres and sides [n, 4] of the upright boxes around boxes turned by ``angles`` [n]."""
    along, across = np.abs(np.cos(angles))[:, None], np.abs(np.sin(angles))[:, None]
    sides = boxes[:, 2:4]
    return np.concatenate([boxes[:, :2], sides * along + sides[:, ::-1] * across], 1)


def areas(boxes: Array) -> Array:
    """[n]; a box whose right is left of its left has none."""
    sides = np.maximum(boxes[:, 2:4] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def overlaps(boxes: Array, others: Array) -> Array:
    """Intersection over union [n, m], 0 where both have no area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:4], others[None, :, 2:4])
    sides = np.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    union = areas(boxes)[:, None] + areas(others)[None] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def suppressed(boxes: Array, scores: Array, classes: Array, iou: float, most: int) -> Array:
    """Indices of at most ``most`` boxes that remain, best first: non-maximum suppression within each class.

    A box goes if a better one of its class overlaps it by more than ``iou``. Among equal scores the first wins.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes.astype(np.float64)[order]
    sizes, kinds = areas(boxes), classes[order]
    remaining = np.arange(len(order))
    selected: list[int] = []
    while len(remaining) and len(selected) < most:
        best, rest = remaining[0], remaining[1:]
        selected.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        sides = np.maximum(high - low, 0)
        common = sides[:, 0] * sides[:, 1]
        above = common > iou * (sizes[best] + sizes[rest] - common)
        remaining = rest[~(above & (kinds[rest] == kinds[best]))]
    return np.asarray(order[selected], np.intp)


def matched(similar: Array, least: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of ``similar`` [n, m]: each row in turn takes its most similar free column, if any has
    at least ``least``."""
    free, pairs = similar.copy(), []
    for row in range(len(free)):
        if not free.shape[1]:
            break
        column = int(free[row].argmax())
        if free[row, column] >= least:
            pairs.append((row, column))
            free[:, column] = -1
    return pairs


def f1(pairs: int, found: int, wanted: int) -> float:
    """The harmonic mean of precision and recall; 1 if nothing is found and nothing wanted."""
    return 2 * pairs / (found + wanted) if found + wanted else 1.0
