"""The cuts of a chain: of all legal ones, the few that some situation wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from partway.partitioner.cuts.candidates import Frontier, legal_cuts
from partway.partitioner.cuts.costs import LEVELS, Costs, estimated_costs, estimated_seconds
from partway.partitioner.cuts.crossing import prefix_of
from partway.partitioner.cuts.selection import chosen_splits
from partway.partitioner.cuts.situations import Regret, Regrets, Splits
from partway.partitioner.graph.fusion import breaks_fusion
from partway.partitioner.graph.graph import Graph, OperatorSet, members
from partway.partitioner.plan.cut import Cut

MOST = 8
"""Inner cuts of a chain, those that the user names apart."""
LEAST_SHARE = 0.004
"""Of a model's time: the smallest stage. Smaller ones are not worth a boundary."""
MOVING = frozenset({
    "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Slice", "Split", "Concat", "Pad",
    "Resize", "SpaceToDepth", "Add", "Sub", "Mul", "Div", "QuantizeLinear", "DequantizeLinear", "Clip", "Shape",
    "TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST", "STRIDED_SLICE", "SLICE", "SPLIT", "CONCATENATION", "PAD",
    "RESIZE_BILINEAR", "SPACE_TO_DEPTH", "ADD", "SUB", "MUL", "DIV", "QUANTIZE", "DEQUANTIZE",
})  # fmt: skip
"""Operators that move, scale or cast: what they alone made of the input is still the input."""


@dataclass(frozen=True)
class Choice:
    """A graph's legal cuts with their costs, and the chain among them.

    Splits are numbered as in ``splits``: 0 all in the cloud, then ``legal`` in order, the last all on the device.
    ``chain`` holds the numbers of the inner cuts that were chosen, ``regrets`` the chain's regret in each setting, and
    ``wanted`` the settings that want each of its splits.
    """

    legal: tuple[Frontier, ...]
    splits: Splits
    chain: tuple[int, ...]
    regrets: tuple[Regret, ...]
    wanted: dict[int, tuple[str, ...]]

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The inner cuts, from input to output."""
        return tuple(self.legal[split - 1].cut for split in self.chain)


def useful_cuts(
    graph: Graph, costs: Costs | None = None, limit: int = MOST, also: Sequence[Cut] = ()
) -> tuple[Cut, ...]:
    """The inner cuts of a chain, nested: at most ``limit``, plus those in ``also``; ``costs`` are estimated if None."""
    return choose_chain(graph, costs, limit, also).cuts


def choose_chain(graph: Graph, costs: Costs | None = None, limit: int = MOST, also: Sequence[Cut] = ()) -> Choice:
    """Choose at most ``limit`` cuts beside those in ``also``, which are kept whatever they cost.

    A cut inside a fused pattern is taken only where there are no others; no stage is without work. The chain has to
    serve machines with another balance of arithmetic and memory too: estimated times count as much as measured ones.
    """
    costs = costs or estimated_costs(graph)
    fixed = [_frontier(graph, cut, costs) for cut in also]
    found = [one for one in legal_cuts(graph, costs.typical_bytes, costs.operator_s) if one.cut not in also]
    fitting = [one for one in found if all(_nested(one, other) for other in fixed)]
    legal = tuple(sorted([*fitting, *fixed], key=lambda one: one.prefix.bit_count()))
    splits = splits_of(graph, costs, legal)
    regrets = Regrets(splits)
    elsewhere = replace(costs, operator_s=_as_elsewhere(graph, costs))
    robust = Regrets(splits, splits_of(graph, elsewhere, legal))
    ends = (0, len(legal) + 1)
    always = [*ends, *(split for split, one in enumerate(legal, 1) if one in fixed)]
    wanted = [split for split, one in enumerate(legal, 1) if one not in fixed and not splits.sends_input[split]]
    whole = [s for s in wanted if not breaks_fusion(graph, legal[s - 1].prefix, legal[s - 1].cut.values)]
    chain = chosen_splits(robust, splits.prefix_s, whole or wanted, always, limit, LEAST_SHARE)
    inner = tuple(split for split in chain if split not in ends)
    return Choice(legal, splits, inner, regrets.of(chain), regrets.wanted_by(chain))


def _as_elsewhere(graph: Graph, costs: Costs) -> tuple[float, ...]:
    """Estimated seconds of the operators that add up to the same."""
    estimated = estimated_seconds(graph)
    scale = sum(costs.operator_s) / (sum(estimated) or 1.0)
    return tuple(seconds * scale for seconds in estimated)


def splits_of(graph: Graph, costs: Costs, legal: Sequence[Frontier]) -> Splits:
    """What every split costs: all in the cloud, the cuts, all on the device."""
    prefixes: list[OperatorSet] = [0, *(one.prefix for one in legal), graph.everything]
    values = [graph.inputs, *(one.cut.values for one in legal), ()]
    before_s = np.array([sum(costs.operator_s[at] for at in members(prefix)) for prefix in prefixes])
    sent = np.array(
        [[sum(costs.coded[level][name] for name in some) for some in values] for level in range(len(LEVELS))]
    )
    if costs.picture is not None:
        sent[:, 0] = costs.picture
    moved, copied = _moved_inputs(graph, graph.inputs), _moved_inputs(graph, _measurements(graph))
    return Splits(
        before_s,
        before_s[-1] - before_s,
        np.array([sum(costs.coding_s[name] for name in some) for some in values]),
        sent,
        np.array([float(graph.weight_bytes(prefix)) for prefix in prefixes]),
        np.array(
            [
                bool(some) and (moved.issuperset(some) or not copied.union(graph.inputs).isdisjoint(some))
                for some in values
            ]
        ),
    )


def _measurements(graph: Graph) -> list[str]:
    """The inputs that are pictures, sound or the like; what is made of integers (a mask of words) tells little."""
    return [name for name in graph.inputs if graph.values[name].dtype not in ("int32", "int64", "bool")]


def _moved_inputs(graph: Graph, inputs: Sequence[str]) -> frozenset[str]:
    """Some inputs, and values made of them by moving and scaling only."""
    moved = set(inputs)
    for operator in graph.operators:
        if operator.kind in MOVING and operator.inputs and moved.issuperset(operator.inputs):
            moved.update(operator.outputs)
    return frozenset(moved)


def _frontier(graph: Graph, cut: Cut, costs: Costs) -> Frontier:
    prefix = prefix_of(graph, cut)
    return Frontier(cut, prefix, sum(costs.coded[2][name] for name in cut.values), graph.work(prefix))


def _nested(one: Frontier, other: Frontier) -> bool:
    return one.prefix & other.prefix in (one.prefix, other.prefix) and one.prefix != other.prefix
