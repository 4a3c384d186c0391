"""How much faster rows are in a batch on this machine, learned from the batches that ran.

On a GPU a batch of 16 takes hardly longer than a frame; on a processor it may take 16 times as long, and then running
frames together only makes the first wait for the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

REMEMBERED_RUNS = 8
"""Runs remembered per stage and size; the fastest counts, since a busy machine can only be slower."""
TRUSTED_RUNS = 3
"""Runs before a size is judged to be slow."""
WORTHWHILE = 1.05
"""A size is preferred to a smaller one when a row of it is this much cheaper."""
SIGNIFICANT_SHARE = 0.1
"""A stage that takes this share of the time has to be measured before a size is judged."""
RECHECK_RUNS = 16
"""Runs after which the best size is computed again."""
SINGLE_SAMPLING = 4
"""One in so many frames that ran alone is remembered: they are many and cheap."""
FORGET_RUNS = 2000
"""Runs after which every size is tried again."""


class BatchSpeedup:
    """Of one model: seconds a row takes in batches of about 1, 2, 4, ... rows, over what it takes alone.

    ``suffix_s[k]`` is what the stages from k on take alone, in seconds.
    """

    def __init__(self, suffix_s: Sequence[float]) -> None:
        self._suffix_s = tuple(suffix_s)
        whole_s = suffix_s[0]
        self._shares = [(a - b) / whole_s if whole_s else 1.0 for a, b in pairwise(suffix_s)]
        self._seen: dict[tuple[int, int], deque[float]] = {}
        self._runs = 0
        self._best: dict[int, tuple[int, float]] = {}

    def learn(self, first: int, last: int, rows: int, seconds: float) -> None:
        """So many rows took so long from stage ``first`` to ``last`` (exclusive)."""
        alone_s = (self._suffix_s[first] - self._suffix_s[last]) * rows
        if alone_s <= 0:
            return
        self._runs += 1
        if rows == 1 and self._runs % SINGLE_SAMPLING:
            return
        if self._runs % FORGET_RUNS == 0:
            self._seen.clear()
        size = rows.bit_length() - 1
        for stage in range(first, last):
            runs = self._seen.get((stage, size))
            if runs is None:
                runs = self._seen[stage, size] = deque(maxlen=REMEMBERED_RUNS)
            runs.append(seconds / alone_s)
            if len(runs) <= TRUSTED_RUNS:
                self._best.clear()
        if self._runs % RECHECK_RUNS == 0:
            self._best.clear()

    def ratio(self, size: int) -> float:
        """Of a row in a batch of ``2**size`` over a row alone, all stages by their share; 1 for what was never seen."""
        return sum(share * self._nearest(stage, size) for stage, share in enumerate(self._shares))

    def _nearest(self, stage: int, size: int) -> float:
        """Of this stage, in batches of this size or the next smaller one that was seen."""
        found = (self._seen.get((stage, at)) for at in range(size, -1, -1))
        return next((min(runs) for runs in found if runs), 1.0)

    def _is_measured(self, size: int) -> bool:
        """Whether all stages that matter ran in batches of this size."""
        large = [stage for stage, share in enumerate(self._shares) if share >= SIGNIFICANT_SHARE]
        return all(len(self._seen.get((stage, size), ())) >= TRUSTED_RUNS for stage in large)

    def best(self, most: int) -> tuple[int, float]:
        """The rows worth running together, at most ``most``, and what a row then costs over a row alone.

        Doubles as long as that pays or is not known yet.
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
