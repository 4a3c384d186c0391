"""Select a few cuts from many: those that save a device the most bytes or computation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

WORTH = 0.045
"""The least saving of a cut: log of the byte ratio times the fraction of the model that the device skips.

Every boundary costs a chain 1 to 2 % of the model (benchmarks/chain.py: copies, and layouts that the engine undoes and
makes again), whether a frame crosses the link there or not.
"""


def greedy_selection(sizes: Sequence[float], done: Sequence[Sequence[float]], limit: int) -> tuple[int, ...]:
    """Indices of at most ``limit`` candidates, in order; candidate 0 (the model's input) is always included.

    ``sizes[i]`` is what candidate ``i`` sends, ``done[axis][i]`` the fraction of the model before it, by one measure of
    time or another (arithmetic, memory traffic): which of them rules depends on the machine. Between two chosen cuts a
    device that would stop at a candidate in between sends as much as the earlier one; the area under that staircase,
    log bytes over fraction done, is what the choice makes small, one cut at a time.
    """
    chosen: list[int] = [0]
    while len(chosen) <= limit and len(chosen) < len(sizes):
        area = _area(chosen, sizes, done)
        rest = (index for index in range(1, len(sizes)) if index not in chosen)
        best = min(rest, key=lambda index: _area([*chosen, index], sizes, done))
        if area - _area([*chosen, best], sizes, done) < WORTH:
            break
        chosen.append(best)
    return tuple(sorted(chosen)[1:])


def _area(chosen: Iterable[int], sizes: Sequence[float], done: Sequence[Sequence[float]]) -> float:
    steps = sorted(chosen)
    total = 0.0
    for axis in done:
        smallest = math.inf
        for index, after in zip(steps, [*(axis[step] for step in steps[1:]), 1.0], strict=True):
            smallest = min(smallest, sizes[index])
            total += math.log(max(smallest, 1.0)) * (after - axis[index])
    return total / len(done)
