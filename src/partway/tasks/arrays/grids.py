"""Grids of cells on a model's input: heads of detectors answer once per cell, for each of several strides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32), (4, 8, 16, 32), (8,), (16,), (32,))
PER_CELL = (1, 3, 2)


def counts(size: tuple[int, int], strides: Sequence[int], per_cell: int = 1) -> list[int]:
    """How many answers each stride gives for an input of ``size`` (height, width)."""
    return [per_cell * -(-size[0] // stride) * -(-size[1] // stride) for stride in strides]


def cells(size: tuple[int, int], strides: Sequence[int], per_cell: int = 1) -> tuple[Array, Array]:
    """Each answer's cell: column and row [n, 2], and its stride [n], float32, stride by stride, row by row.

    Several answers of one cell (``per_cell``) follow each other. The arrays are kept for the next frame, and read-only.
    """
    return _cells((size[0], size[1]), tuple(strides), per_cell)


@lru_cache(maxsize=8)
def _cells(size: tuple[int, int], strides: tuple[int, ...], per_cell: int) -> tuple[Array, Array]:
    places, sides = [], []
    for stride in strides:
        rows, columns = np.divmod(np.arange(-(-size[0] // stride) * -(-size[1] // stride)), -(-size[1] // stride))
        places.append(np.stack([columns, rows], 1).repeat(per_cell, 0))
        sides.append(np.full(len(places[-1]), stride))
    found = np.concatenate(places).astype(np.float32), np.concatenate(sides).astype(np.float32)
    for array in found:
        array.flags.writeable = False
    return found


def strides_of(length: int, size: tuple[int, int] | None) -> tuple[tuple[int, ...], int] | None:
    """The strides, and answers per cell, that give ``length`` answers for the input size; None if none do."""
    if size is None:
        return None
    for per_cell in PER_CELL:
        for strides in STRIDES:
            if sum(counts(size, strides, per_cell)) == length and length > 1:
                return strides, per_cell
    return None


def on_grid(points: Array, size: tuple[int, int], strides: Sequence[int], per_cell: int) -> bool:
    """True if centres [n, 2] lie near their own cells: such boxes are decoded already, in the input's pixels.

    Several answers per cell may come cell by cell, or the whole grid several times.
    """
    near = []
    for stride, count in zip(strides, counts(size, strides, per_cell), strict=True):
        part, points = points[:count], points[count:]
        places, _ = cells(size, [stride])
        tiled = np.tile(places, (per_cell, 1)), places.repeat(per_cell, 0)
        errors = [np.abs(part - (place + 0.5) * stride) / stride for place in tiled]
        near.append(min(float(np.mean(error.max(1) > 2)) for error in errors) * count)
    return sum(near) < 0.25 * sum(counts(size, strides, per_cell))
