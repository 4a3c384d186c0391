"""How much faster rows are in a batch on this machine, learned from the batches that ran.

On a GPU, a batch of 16 takes hardly longer than one frame. On a processor it may take 16 times as long; then running
frames together only makes the first one wait for the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

REMEMBERED_RUNS = 8
"""Runs stored per stage and size; the fastest counts, because load only makes a run slower."""
TRUSTED_RUNS = 3
"""Number of runs before a size can be judged slow."""
WORTHWHILE = 1.05
"""A size is preferred to a smaller one if a row costs less by this factor."""
SIGNIFICANT_SHARE = 0.1
"""A stage with at least this share of the time must be measured before a size is judged."""
RECHECK_RUNS = 16
"""The best size is computed again after this many runs."""
SINGLE_SAMPLING = 4
"""One in this many frames that ran alone is stored: they are many and cheap."""
FORGET_RUNS = 2000
"""After this many runs all measurements are dropped, so that every size is tried again."""


class BatchSpeedup:
    """For one model: the time of a row in batches of about 1, 2, 4, ... rows, relative to a row alone.

    ``suffix_s[k]``: seconds that the stages from k on take for one row alone.
    """

    def __init__(self, suffix_s: Sequence[float]) -> None:
        self._suffix_s = tuple(suffix_s)
        whole_s = suffix_s[0]
        self._shares = [(a - b) / whole_s if whole_s else 1.0 for a, b in pairwise(suffix_s)]
        self._ratios: dict[tuple[int, int], deque[float]] = {}
        self._runs = 0
        self._best: dict[int, tuple[int, float]] = {}

    def learn(self, first: int, last: int, rows: int, seconds: float) -> None:
        """Record a run: ``rows`` rows took ``seconds`` from stage ``first`` to ``last`` (exclusive)."""
        alone_s = (self._suffix_s[first] - self._suffix_s[last]) * rows
        if alone_s <= 0:
            return
        self._runs += 1
        if rows == 1 and self._runs % SINGLE_SAMPLING:
            return
        if self._runs % FORGET_RUNS == 0:
            self._ratios.clear()
        size = rows.bit_length() - 1
        for stage in range(first, last):
            runs = self._ratios.get((stage, size))
            if runs is None:
                runs = self._ratios[stage, size] = deque(maxlen=REMEMBERED_RUNS)
            runs.append(seconds / alone_s)
            if len(runs) <= TRUSTED_RUNS:
                self._best.clear()
        if self._runs % RECHECK_RUNS == 0:
            self._best.clear()

    def ratio(self, size: int) -> float:
        """The cost of a row in a batch of ``2**size`` relative to a row alone; 1 for stages without measurement."""
        return sum(share * self._nearest(stage, size) for stage, share in enumerate(self._shares))

    def _nearest(self, stage: int, size: int) -> float:
        """The ratio of this stage, in batches of this size or the next smaller one that was measured."""
        found = (self._ratios.get((stage, at)) for at in range(size, -1, -1))
        return next((min(runs) for runs in found if runs), 1.0)

    def _is_measured(self, size: int) -> bool:
        """Whether all stages of significant share ran in batches of this size."""
        large = [stage for stage, share in enumerate(self._shares) if share >= SIGNIFICANT_SHARE]
        return all(len(self._ratios.get((stage, size), ())) >= TRUSTED_RUNS for stage in large)

    def best(self, most: int) -> tuple[int, float]:
        """The number of rows worth running together, at most ``most``, and the relative cost of a row then.

        The number doubles as long as that pays, or is not measured yet.
        """
        if most not in self._best:
            self._best[most] = self._compute_best(most)
        return self._best[most]

    def _compute_best(self, most: int) -> tuple[int, float]:
        sizes = [0]
        while 2 << sizes[-1] <= most and self._is_measured(sizes[-1] + 1):
            sizes.append(sizes[-1] + 1)
        ratios = [self.ratio(size) for size in sizes]
        least = min(ratios)
        chosen = next(size for size, ratio in zip(sizes, ratios, strict=True) if ratio <= WORTHWHILE * least)
        cost = min(1.0, ratios[chosen] / ratios[0])
        if chosen < sizes[-1]:
            return 1 << chosen, cost
        return min(2 << chosen, most), cost
