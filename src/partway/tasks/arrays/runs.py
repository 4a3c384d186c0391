"""Connected regions of a mask, found by its runs: stretches of true pixels in one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Runs:
    """``row``, ``start`` and ``stop`` (exclusive) of each run [n], in reading order."""

    row: Array
    start: Array
    stop: Array


def runs_of(mask: Array) -> Runs:
    """The runs of a bool mask [height, width]."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    row, start = np.nonzero(steps == 1)
    return Runs(row, start, np.nonzero(steps == -1)[1])


def regions(runs: Runs) -> list[Array]:
    """Indices of the runs of each region whose pixels touch by side or corner, in reading order of their first run."""
    parent = list(range(len(runs.row)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for upper, lower in _touching(runs):
        first, second = sorted((root(upper), root(lower)))
        parent[second] = first
    groups: dict[int, list[int]] = {}
    for one in range(len(parent)):
        groups.setdefault(root(one), []).append(one)
    return [np.array(members) for members in groups.values()]


def _touching(runs: Runs) -> list[tuple[int, int]]:
    """Pairs of runs in neighbouring rows that touch."""
    row, start, stop = runs.row.tolist(), runs.start.tolist(), runs.stop.tolist()
    pairs, upper = [], 0
    for lower in range(len(row)):
        while row[upper] < row[lower] - 1 or (row[upper] == row[lower] - 1 and stop[upper] < start[lower]):
            upper += 1
        other = upper
        while row[other] == row[lower] - 1 and start[other] <= stop[lower]:
            pairs.append((other, lower))
            other += 1
    return pairs
