"""Lines of text in a probability map: regions above a threshold, each grown to the text's own outline.

Liao et al., "Real-time scene text detection with differentiable binarization", AAAI 2020: a region is shrunk text, its
outline moves outwards by area times ratio over perimeter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.tasks.arrays.rectangles import Rectangle, smallest_around
from partway.tasks.arrays.runs import Runs, regions, runs_of

Array = np.ndarray[Any, Any]
LEAST_SIDE = 3.0
MOST_REGIONS = 1000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``pixel``: where a pixel is text. ``score``: a region's least mean. ``grow``: the ratio.

    ``join``: pixels that are one apart are one region.
    """

    pixel: float = 0.3
    score: float = 0.5
    grow: float = 1.6
    join: bool = True


def lines_of_text(shares: Array, limits: Thresholds) -> list[tuple[Array, float]]:
    """Corners [4, 2] (x, y) in the map's pixels, and score, of each line of text in ``shares`` [height, width].

    In reading order. At most 1000.
    """
    with np.errstate(invalid="ignore"):
        mask = shares > limits.pixel
    runs = runs_of(_joined(mask) if limits.join else mask)
    found = []
    for members in regions(runs)[:MOST_REGIONS]:
        outline = smallest_around(_ends(runs, members))
        score = _mean_inside(shares, outline)
        if 2 * outline.sides.min() < LEAST_SIDE or not score >= limits.score:
            continue
        width, height = 2 * outline.sides
        grown = outline.grown(limits.grow * width * height / (2 * (width + height)))
        if 2 * grown.sides.min() >= LEAST_SIDE + 2:
            found.append((grown.corners, score))
    return _in_reading_order(found)


def _in_reading_order(lines: list[tuple[Array, float]]) -> list[tuple[Array, float]]:
    """Rows from the top, each from the left. A line is in the row above if its middle is above that row's bottom."""
    rows: list[list[tuple[Array, float]]] = []
    bottom = -np.inf
    for line in sorted(lines, key=lambda line: float(line[0][:, 1].mean())):
        if line[0][:, 1].mean() > bottom:
            rows.append([])
            bottom = line[0][:, 1].max()
        rows[-1].append(line)
    return [line for row in rows for line in sorted(row, key=lambda line: float(line[0][:, 0].min()))]


def _joined(mask: Array) -> Array:
    """Each pixel also where its right, lower, and lower right neighbour is."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    both = wide.copy()
    both[1:] |= wide[:-1]
    return both


def _ends(runs: Runs, members: Array) -> Array:
    """First and last pixel of each run: the hull of a region is theirs."""
    rows = runs.row[members]
    return np.concatenate([np.stack([runs.start[members], rows], 1), np.stack([runs.stop[members] - 1, rows], 1)])


def _mean_inside(shares: Array, outline: Rectangle) -> float:
    corners = outline.corners
    left, top = np.floor(corners.min(0)).astype(int).clip(0, None)
    right, bottom = np.ceil(corners.max(0)).astype(int) + 1
    part = shares[top:bottom, left:right]
    rows, columns = np.divmod(np.arange(part.size), max(part.shape[1], 1))
    inside = outline.contains(np.stack([columns + left, rows + top], 1))
    return float(part.reshape(-1)[inside].mean()) if inside.any() else 0.0
