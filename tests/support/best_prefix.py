"""The best prefix of a graph for one bandwidth, for comparison with whole sweeps and with brute force."""

from dataclasses import dataclass

from partway.partitioner.cuts.crossing import crossing
from partway.partitioner.cuts.mincut import Problem, cheapest
from partway.partitioner.graph.graph import Graph, OperatorSet, members
from partway.partitioner.plan.cut import Cut


@dataclass(frozen=True, slots=True)
class Best:
    """What the device runs, what crosses, and the time of a frame."""

    prefix: OperatorSet
    cut: Cut
    total_s: float


def total_s(asked: Problem, prefix: OperatorSet, bandwidth_bps: float) -> float:
    """Seconds of prefix, transfer and suffix together."""
    return sum(asked.cloud_s) + asked.own_s(prefix) + asked.crossing_bits(prefix) / bandwidth_bps


def best_prefix(asked: Problem, bandwidth_bps: float) -> Best:
    """The prefix of least time, by minimum cut."""
    found = cheapest(asked, 1.0, 1.0 / bandwidth_bps)
    return Best(found, crossing(asked.graph, found), total_s(asked, found, bandwidth_bps))


def is_prefix(graph: Graph, operators: OperatorSet) -> bool:
    """Whether the set is downward closed: with every operator, everything that must run before it."""
    return all(graph.ancestors[index] & ~operators == 0 for index in members(operators))
