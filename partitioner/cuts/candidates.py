"""Find the legal cuts of a graph, and the few useful ones for a chain of stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.crossing import BytesOf, crossing, input_cut, prefix_of, smallest_prefix, wire_bytes
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.cuts.selection import greedy_selection
from partway.partitioner.graph.fusion import breaks_fusion, settled
from partway.partitioner.graph.graph import Graph, OperatorSet
from partway.partitioner.graph.orders import depth_first, frontiers, orders
from partway.partitioner.plan.cut import Cut

NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class Frontier:
    """A cut with the operators before it, its bytes on the wire, and the multiply-adds before it."""

    cut: Cut
    prefix: OperatorSet
    size_bytes: float
    work: int


def legal_cuts(graph: Graph, bytes_of: BytesOf | None = None) -> tuple[Frontier, ...]:
    """A nested family of inner cuts, from input to output: frontiers along several topological orders.

    The orders pass through the minimum cuts for every exchange rate of bytes against work, so that those are among the
    frontiers; between them they keep few bytes alive. No cut holds a value that cannot be sent. Neither split 0 nor the
    last one is among them.
    """
    found: dict[Cut, Frontier] = {}
    trivial = {input_cut(graph), crossing(graph, 0), Cut(())}
    for order in orders(graph, _milestones(graph, bytes_of)):
        for reached, values in frontiers(graph, order):
            cut = Cut(values)
            if cut in found or cut in trivial or not graph.local.isdisjoint(values):
                continue
            prefix = smallest_prefix(graph, values)
            if prefix and (prefix == reached or graph.crossing(prefix) == values):
                found[cut] = Frontier(cut, prefix, wire_bytes(graph, cut, bytes_of), graph.work(prefix))
    return _chain(sorted(found.values(), key=lambda one: (one.work, one.prefix.bit_count(), one.cut.values)))


def _chain(found: Sequence[Frontier]) -> tuple[Frontier, ...]:
    """A nested family of frontiers sorted by work: first a longest run with decreasing bytes, then others that fit."""
    best: list[tuple[int, int]] = []
    most: list[int] = []
    smallest = math.inf
    for at, one in enumerate(found):
        reached, before = 0, -1
        for other in range(at - 1, -1, -1):
            if most[other] <= reached:
                break
            if best[other][0] > reached and found[other].prefix & ~one.prefix == 0:
                reached, before = best[other][0], other
        worth = len(found) + 1 if one.size_bytes < smallest else 1
        smallest = min(smallest, one.size_bytes)
        best.append((reached + worth, before))
        most.append(max(reached + worth, most[-1] if most else 0))
    chain, at = [], best.index(max(best)) if best else -1
    while at >= 0:
        chain.append(found[at])
        at = best[at][1]
    return tuple(reversed(chain))


def _milestones(graph: Graph, bytes_of: BytesOf | None) -> list[OperatorSet]:
    """Nested prefixes that orders should pass through: each is best at some exchange rate of bytes against work, in the
    whole graph or between two places where a single value crosses."""
    work = [operator.work + 1.0 for operator in graph.operators]
    narrow = [reached for reached, values in frontiers(graph, depth_first(graph)) if len(values) == 1]
    pairs = [pair for pair in pairwise([0, *narrow, graph.everything]) if (pair[1] & ~pair[0]).bit_count() > 2]
    found: list[OperatorSet] = []
    for between in [(0, graph.everything), *pairs]:
        for span in sweep(cut_problem(graph, work, [0.0] * len(work), bytes_of=bytes_of, between=between)):
            settled_prefix = [settled(graph, span.prefix)]
            for prefix in [span.prefix, *settled_prefix] if between == (0, graph.everything) else settled_prefix:
                if all(prefix & other in (prefix, other) for other in found):
                    found.append(prefix)
    return sorted(found, key=int.bit_count)


def useful_cuts(
    graph: Graph, bytes_of: BytesOf | None = None, limit: int = 4, also: Sequence[Cut] = ()
) -> tuple[Cut, ...]:
    """The useful inner cuts of a chain, nested: at most ``limit``, plus those in ``also``.

    Only a cut that sends strictly fewer bytes than every earlier one, the model's input included, can be best while the
    cloud is the faster machine. Of those, :func:`greedy_selection` takes those that spare most; neighbours that hardly
    differ make one stage. A cut inside a fused pattern gives way to a neighbour as small. The cuts in ``also`` are kept
    whatever they send, and the others must be nested with them.
    """
    fixed = [_frontier(graph, cut, bytes_of) for cut in also]
    start = _frontier(graph, input_cut(graph), bytes_of)
    smaller = _smaller(graph, legal_cuts(graph, bytes_of), start.size_bytes)
    fitting = [one for one in smaller if one not in fixed and all(_nested(one, other) for other in fixed)]
    rows = [start, *fitting]
    done = [_fractions(graph.work, graph, rows), _fractions(graph.traffic_bytes, graph, rows)]
    chosen = [rows[index] for index in greedy_selection([row.size_bytes for row in rows], done, limit)]
    return tuple(one.cut for one in sorted([*chosen, *fixed], key=lambda one: one.prefix.bit_count()))


def _frontier(graph: Graph, cut: Cut, bytes_of: BytesOf | None) -> Frontier:
    prefix = prefix_of(graph, cut) if cut != input_cut(graph) else 0
    return Frontier(cut, prefix, wire_bytes(graph, cut, bytes_of), graph.work(prefix))


def _nested(one: Frontier, other: Frontier) -> bool:
    return one.prefix & other.prefix in (one.prefix, other.prefix) and one.prefix != other.prefix


def _fractions(measure: Callable[[OperatorSet], int], graph: Graph, rows: Sequence[Frontier]) -> list[float]:
    total = max(measure(graph.everything), 1)
    return [measure(row.prefix) / total for row in rows]


def _smaller(graph: Graph, legal: Sequence[Frontier], smallest: float) -> list[Frontier]:
    smaller: list[Frontier] = []
    rest = list(legal)
    while rest:
        if rest[0].size_bytes < smallest:
            smaller.append(_least_breaking(graph, rest[:NEIGHBOURS]))
            smallest = smaller[-1].size_bytes
            rest = rest[rest.index(smaller[-1]) :]
        rest = rest[1:]
    return smaller


def _least_breaking(graph: Graph, near: Sequence[Frontier]) -> Frontier:
    """The best of some equally small neighbouring cuts: one that breaks no fusion, then the one with fewest values."""
    as_small = [one for one in near if one.size_bytes <= near[0].size_bytes]
    return min(as_small, key=lambda one: (breaks_fusion(graph, one.prefix, one.cut.values), len(one.cut.values)))
