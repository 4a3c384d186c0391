"""The best candidate as an exact function of the link, precomputed so that a choice takes microseconds.

Every score is ``max(floor, fixed + per_bps * x + per_rtt * rtt_s)`` with ``x = 1 / bandwidth``: a line in x, bent at
most once. Where two of these meet is a formula, so the lower envelope is exact; between neighbouring meeting points one
candidate is best, found by trying all in the middle. The round trip adds the same to everything that is sent: it only
matters against what sends nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate, Estimate, Link
from partway.partitioner.decide.objectives import Objective, Terms, best, crossing_bytes
from partway.partitioner.decide.shipped_objectives import latency_terms

Array = np.ndarray[Any, np.dtype[np.float64]]
EPSILON = 1e-12


class Win(NamedTuple):
    """The range of bandwidths, in bits per second, over which one candidate is best; the last has no upper end."""

    from_bps: float
    to_bps: float
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class _Row:
    """A candidate with its score and, to decide between equals, its seconds and bytes."""

    candidate: Candidate
    score: Terms
    latency: Terms
    size_bytes: float

    def order(self, bandwidth_bps: float, rtt_s: float) -> tuple[float, float, float]:
        return self.score.at(bandwidth_bps, rtt_s), *self.tie_break(bandwidth_bps, rtt_s)

    def tie_break(self, bandwidth_bps: float, rtt_s: float) -> tuple[float, float]:
        return self.latency.at(bandwidth_bps, rtt_s), self.size_bytes


class Chooser:
    """``chooser(link)`` is the best admitted candidate on that link, in about a microsecond."""

    def __init__(self, estimates: Iterable[Estimate], objective: Objective) -> None:
        rows = _rows(estimates, objective)
        local = [row for row in rows if row.candidate.codec is None]
        any_link = 1.0, 0.0  # nothing is sent
        self._local = (
            best(local, lambda row: row.score.at(*any_link), lambda row: row.tie_break(*any_link)) if local else None
        )
        sending = [row for row in rows if row.candidate.codec is not None]
        self._ends, self._winners = _envelope(sending, 0.0) if sending else ([], [])

    def __call__(self, link: Link | None) -> Candidate:
        """Without a link only candidates that send nothing are possible; raises InputError when none is admitted."""
        local = self._local
        if link is None or link.bandwidth_bps <= 0 or not self._winners:
            if local is None:
                raise InputError("without a link no admitted candidate can answer; allow all on the device")
            return local.candidate
        sender = self._winners[bisect_right(self._ends, link.bandwidth_bps)]
        at = link.bandwidth_bps, link.rtt_s
        if local is None or sender.order(*at) <= local.order(*at):
            return sender.candidate
        return local.candidate


def crossovers(estimates: Iterable[Estimate], objective: Objective, rtt_s: float) -> list[Win]:
    """Which candidate is best over which bandwidths, slowest first, at one round trip; exact, not sampled.

    The estimates' own link does not matter, nor do measured totals, which hold for one link only.
    """
    rows = _rows(estimates, objective)
    if not rows:
        return []
    ends, winners = _envelope(rows, rtt_s)
    borders = [0.0, *ends, float("inf")]
    return [Win(low, high, row.candidate) for (low, high), row in zip(pairwise(borders), winners, strict=True)]


def _rows(estimates: Iterable[Estimate], objective: Objective) -> list[_Row]:
    return [_Row(e.candidate, objective.terms(e), latency_terms(e), crossing_bytes(e)) for e in estimates]


def _envelope(rows: Sequence[_Row], rtt_s: float) -> tuple[list[float], list[_Row]]:
    """Bandwidths at which the best row changes, ascending, and the rows between them (one more)."""
    score, latency = _Bent.of([row.score for row in rows], rtt_s), _Bent.of([row.latency for row in rows], rtt_s)
    points = np.concatenate([score.meetings(), latency.meetings()])
    points = _distinct(np.sort(points[np.isfinite(points) & (points > 0)]))
    size_bytes = np.array([[row.size_bytes] for row in rows])
    winners = _best(score, latency, size_bytes, _between(points))
    changes = np.flatnonzero(winners[1:] != winners[:-1])
    ends = [float(1 / x) for x in points[changes][::-1]]
    winning = [*winners[changes], winners[-1]]
    return ends, [rows[index] for index in winning[::-1]]


@dataclass(frozen=True, slots=True)
class _Bent:
    """Functions ``max(floor, fixed + slope * x)`` side by side, as columns of numbers."""

    floor: Array
    fixed: Array
    slope: Array

    @classmethod
    def of(cls, terms: Sequence[Terms], rtt_s: float) -> _Bent:
        floor, fixed, slope = zip(*((t.floor, t.fixed + t.per_rtt * rtt_s, t.per_bps) for t in terms), strict=True)
        return cls(np.array(floor), np.array(fixed), np.array(slope))

    def at(self, x: Array) -> Array:
        """Values, one row a function."""
        return np.maximum(self.floor[:, None], self.fixed[:, None] + self.slope[:, None] * x)

    def meetings(self) -> Array:
        """Every x where two lines, or a line and a floor, may meet; not finite where they do not meet."""
        with np.errstate(divide="ignore", invalid="ignore"):
            lines = (self.fixed[:, None] - self.fixed) / (self.slope - self.slope[:, None])
            floors = (self.floor[:, None] - self.fixed) / self.slope
        return np.concatenate([lines.ravel(), floors.ravel()])


def _distinct(points: Array) -> Array:
    """Sorted points, without those that differ from the previous one only by rounding."""
    keep = np.ones(len(points), dtype=bool)
    keep[1:] = np.diff(points) > EPSILON * points[1:]
    return points[keep]


def _between(points: Array) -> Array:
    """One x in every gap: before the first point, between neighbours, after the last."""
    if not len(points):
        return np.ones(1)
    return np.concatenate([points[:1] / 2, (points[1:] + points[:-1]) / 2, points[-1:] * 2])


def _best(score: _Bent, latency: _Bent, size_bytes: Array, x: Array) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Index of the best function at every x: lowest score, of equals the faster, of those the fewer bytes."""
    open_ = np.ones((len(size_bytes), len(x)), dtype=bool)
    for bent in (score, latency):
        values = np.where(open_, bent.at(x), np.inf)
        open_ &= values <= values.min(axis=0) * (1 + EPSILON)
    index: np.ndarray[Any, np.dtype[np.intp]] = np.where(open_, size_bytes, np.inf).argmin(axis=0)
    return index
