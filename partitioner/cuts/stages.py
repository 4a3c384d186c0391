"""From nested cuts to stages of any file format: the operators, inputs and outputs of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from partway.errors import InputError
from partway.partitioner.cuts.crossing import prefix_of
from partway.partitioner.graph.graph import Graph, OperatorSet, members
from partway.partitioner.plan.cut import Cut


def nested_prefixes(graph: Graph, cuts: Sequence[Cut]) -> list[OperatorSet]:
    """The operators before each cut. Raises :class:`InputError` when a cut leaves a stage empty or goes backwards."""
    prefixes = [prefix_of(graph, cut) for cut in cuts]
    for cut, prefix in zip(cuts, prefixes, strict=True):
        if prefix in (0, graph.everything):
            raise InputError(f"nothing of the model lies on one side of the cut {cut}; leave it out")
    for cut, (before, after) in zip(cuts, pairwise(prefixes), strict=False):
        if before & ~after or before == after:
            raise InputError(f"the cut {cut} does not come before the next one; name cuts from input to output")
    return prefixes


def stages_between(graph: Graph, cuts: Sequence[Cut]) -> Iterator[tuple[OperatorSet, tuple[str, ...], tuple[str, ...]]]:
    """Operators, values read and values made of each stage, one more than there are inner ``cuts``.

    The last stage also hands out model outputs that nothing computes. Raises :class:`InputError` as the two parts do.
    """
    prefixes = [0, *nested_prefixes(graph, cuts), graph.everything]
    crossings = [graph.inputs, *(cut.values for cut in cuts), graph.outputs]
    for index, (before, after) in enumerate(pairwise(prefixes)):
        operators = after & ~before
        inputs, outputs = stage_values(graph, operators, crossings[index], crossings[index + 1])
        if index == len(cuts):
            outputs = (*outputs, *(name for name in graph.outputs if name not in graph.activations))
        yield operators, inputs, outputs


def stage_values(
    graph: Graph, operators: OperatorSet, before: Iterable[str], after: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a stage reads from the cut before it, and what it makes for the cut after it and as model outputs.

    Raises :class:`InputError` naming a value that the stage would need and the cut before does not bring.
    """
    produced = {name for index in members(operators) for name in graph.operators[index].outputs}
    read = dict.fromkeys(name for index in members(operators) for name in graph.operators[index].inputs)
    declared = set(before)
    for name in read:
        if name not in produced and name not in declared:
            raise InputError(f"the stage reads `{name}`, which the cut before it does not hold; add it to the cut")
    needed = dict.fromkeys((*after, *graph.outputs))
    inputs = tuple(name for name in before if name in read)
    return inputs, tuple(name for name in needed if name in produced)


def makers(graph: Graph, names: Iterable[str]) -> OperatorSet:
    """The operators without which some values cannot be made."""
    found = 0
    for name in names:
        if name in graph.producers:
            found |= graph.ancestors[graph.producers[name]]
    return found
