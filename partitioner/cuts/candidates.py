"""Find the legal cuts of a graph: a nested family of them, from input to output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.crossing import BytesOf, crossing, input_cut, smallest_prefix, wire_bytes
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.graph.fusion import settled
from partway.partitioner.graph.graph import Graph, OperatorSet
from partway.partitioner.graph.orders import depth_first, frontiers, orders
from partway.partitioner.plan.cut import Cut


@dataclass(frozen=True, slots=True)
class Frontier:
    """A cut with the operators before it, its bytes on the wire, and the multiply-adds before it."""

    cut: Cut
    prefix: OperatorSet
    size_bytes: float
    work: int


def legal_cuts(
    graph: Graph, bytes_of: BytesOf | None = None, operator_s: Sequence[float] | None = None
) -> tuple[Frontier, ...]:
    """A nested family of inner cuts, from input to output: frontiers along several topological orders.

    The orders pass through the minimum cuts for every exchange rate of bytes against work, so that those are among the
    frontiers; between them they keep few bytes alive. No cut holds a value that cannot be sent. Neither split 0 nor the
    last one is among them. ``operator_s`` gives each operator's seconds, in place of its multiply-adds.
    """
    found = every_frontier(graph, bytes_of, operator_s)
    return _chain(sorted(found, key=lambda one: (one.work, one.prefix.bit_count(), one.cut.values)))


def every_frontier(
    graph: Graph, bytes_of: BytesOf | None = None, operator_s: Sequence[float] | None = None
) -> tuple[Frontier, ...]:
    """The legal cuts along all orders, which need not be nested: what a chain of any cuts could have."""
    found: dict[Cut, Frontier] = {}
    trivial = {input_cut(graph), crossing(graph, 0), Cut(())}
    for order in orders(graph, _milestones(graph, bytes_of, operator_s)):
        for reached, values in frontiers(graph, order):
            cut = Cut(values)
            if cut in found or cut in trivial or not graph.local.isdisjoint(values):
                continue
            prefix = smallest_prefix(graph, values)
            if prefix and (prefix == reached or graph.crossing(prefix) == values):
                found[cut] = Frontier(cut, prefix, wire_bytes(graph, cut, bytes_of), graph.work(prefix))
    return tuple(found.values())


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


def _milestones(graph: Graph, bytes_of: BytesOf | None, operator_s: Sequence[float] | None) -> list[OperatorSet]:
    """Nested prefixes that orders should pass through: each is best at some exchange rate of bytes against work, in the
    whole graph or between two places where a single value crosses."""
    work = _weights(graph, operator_s)
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


def _weights(graph: Graph, operator_s: Sequence[float] | None) -> list[float]:
    """What each operator costs, none of them nothing."""
    if operator_s is None:
        return [operator.work + 1.0 for operator in graph.operators]
    total_s = sum(operator_s) or 1.0
    return [seconds / total_s + 1e-9 for seconds in operator_s]
