"""The best prefixes of a graph over all bandwidths.

A prefix costs ``bandwidth * own_s + bits``, a line in the bandwidth. In the minimum cut only edges at source and sink
depend on it; where the cloud is at least as fast on every operator all of those grow with it, and the best prefixes are
nested (parametric maximum flow: Gallo, Grigoriadis and Tarjan, 1989). Where it is not they need not be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from partway.partitioner.cuts.crossing import crossing
from partway.partitioner.cuts.mincut import Problem, cheapest
from partway.partitioner.graph.graph import Graph, OperatorSet
from partway.partitioner.plan.cut import Cut

EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Span:
    """A prefix and the range of bandwidths for which it is best; the first begins at 0, the last has no upper end."""

    prefix: OperatorSet
    cut: Cut
    from_bps: float
    to_bps: float


def sweep(problem: Problem) -> tuple[Span, ...]:
    """Every prefix that is best for some bandwidth, from 0 (all on the device) to infinity.

    Finds the breakpoints themselves, by the method of Eisner and Severance (1976): the cost of a prefix is a line in
    the bandwidth. Where two neighbouring lines of the lower envelope meet, a minimum cut either finds a lower line or
    proves that there is none. The prefixes are nested where the cloud is at least as fast on every operator.
    """
    first = _Line.of(problem, cheapest(problem, 0.0, 1.0))
    last = _Line.of(problem, cheapest(problem, 1.0, 0.0))
    return _spans(problem.graph, _envelope(problem, first, last))


@dataclass(frozen=True, slots=True)
class _Line:
    """A prefix's cost times the bandwidth, as a line in the bandwidth: ``own_s * bandwidth + bits``."""

    prefix: OperatorSet
    own_s: float
    bits: float

    @classmethod
    def of(cls, problem: Problem, prefix: OperatorSet) -> _Line:
        return cls(prefix, problem.own_s(prefix), problem.crossing_bits(prefix))

    def at(self, bandwidth_bps: float) -> float:
        return self.own_s * bandwidth_bps + self.bits

    def meets(self, flatter: _Line) -> float:
        """The bandwidth above which the other line is lower; infinite if it never is."""
        if flatter.own_s >= self.own_s:
            return math.inf
        return max(0.0, (flatter.bits - self.bits) / (self.own_s - flatter.own_s))


def _envelope(problem: Problem, low: _Line, high: _Line) -> list[_Line]:
    """Lines of the lower envelope from ``low``, best at small bandwidths, to ``high``, best at large ones."""
    bandwidth_bps = low.meets(high)
    if bandwidth_bps == math.inf:
        return [low]
    if bandwidth_bps == 0:
        return [high]
    between = _Line.of(problem, cheapest(problem, bandwidth_bps, 1.0))
    slack = EPSILON * (abs(low.own_s) * bandwidth_bps + low.bits)
    if between.prefix in (low.prefix, high.prefix) or between.at(bandwidth_bps) >= low.at(bandwidth_bps) - slack:
        return [low, high]
    before, after = _envelope(problem, low, between), _envelope(problem, between, high)
    return before + after[1:] if before[-1] == after[0] else before + after


def _spans(graph: Graph, lines: Sequence[_Line]) -> tuple[Span, ...]:
    ends = [before.meets(after) for before, after in pairwise(lines)]
    return tuple(
        Span(line.prefix, crossing(graph, line.prefix), start, end)
        for line, start, end in zip(lines, [0.0, *ends], [*ends, math.inf], strict=True)
    )
