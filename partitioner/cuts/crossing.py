"""A cut in a graph: the operators before it, the values that cross, their bytes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from partway.errors import InputError
from partway.partitioner.graph.graph import Graph, OperatorSet, members
from partway.partitioner.plan.cut import Cut, cut_names
from partway.proto.tensors import TensorSpec
from partway.units import shortened

BytesOf = Callable[[TensorSpec], float]
"""Coded bytes of a value on the wire at batch 1."""


def crossing(graph: Graph, prefix: OperatorSet) -> Cut:
    """What crosses when the device runs ``prefix``, which must be downward closed."""
    return Cut(graph.crossing(prefix))


def input_cut(graph: Graph) -> Cut:
    """Split 0: the cloud runs everything and needs the model's inputs."""
    return Cut(graph.inputs)


def output_cut(graph: Graph) -> Cut:
    """The last split: the device runs everything, and only the model's outputs remain."""
    return Cut(graph.outputs)


def prefix_of(graph: Graph, cut: Cut) -> OperatorSet:
    """The operators the device runs for a cut: of all operator sets with exactly this crossing, the smallest.

    An operator that depends on the cut but is no part of making it runs in the cloud, unless it needs something else
    that exists on the device and does not cross (a branch that ends in a model output). Raises :class:`InputError`
    when a value does not exist or cannot be sent, or naming those that would have to cross too.
    """
    for name in cut.values:
        _check_name(graph, name)
    prefix = smallest_prefix(graph, cut.values)
    missing = [name for name in graph.crossing(_runnable_before(graph, cut.values)) if name not in cut.values]
    if missing and set(cut.values) - set(graph.crossing(prefix)):
        raise InputError(_must_cross(graph, cut, missing))
    return prefix


def _must_cross(graph: Graph, cut: Cut, missing: Sequence[str]) -> str:
    local = [name for name in missing if name in graph.local]
    fault = f"the cut {cut_names([cut])[0]} does not separate the model"
    if local:
        return f"{fault}: {_quoted(local[0])} would have to cross and cannot be sent"
    return f"{fault}: {' and '.join(map(_quoted, missing))} must cross too"


def _quoted(name: str) -> str:
    """The name in backquotes, unless it contains quotes itself, as names of states do."""
    short = shortened(name)
    return short if "`" in name else f"`{short}`"


def smallest_prefix(graph: Graph, values: Iterable[str]) -> OperatorSet:
    """The smallest operator set that makes ``values`` and after which no other value crosses; at most all operators."""
    names = set(values)
    prefix = _runnable_before(graph, names)
    while missing := [name for name in graph.crossing(prefix) if name not in names]:
        for name in missing:
            for index in members(graph.readers[name] & ~prefix):
                prefix |= graph.ancestors[index]
    return prefix


def _runnable_before(graph: Graph, values: Iterable[str]) -> OperatorSet:
    """The operators that make some values, and those that do not depend on them."""
    before = after = 0
    for name in values:
        if name in graph.producers:
            before |= graph.ancestors[graph.producers[name]]
        for index in members(graph.readers.get(name, 0)):
            after |= graph.descendants[index]
    for index, operator in enumerate(graph.operators):
        if not operator.inputs and not before >> index & 1:
            after |= graph.descendants[index]
    return before | graph.everything & ~after


def wire_bytes(graph: Graph, cut: Cut, bytes_of: BytesOf | None = None) -> float:
    """Bytes that cross at a cut at batch 1: uncoded, or as ``bytes_of`` says."""
    if bytes_of is None:
        return sum(graph.size_bytes(name) for name in cut.values)
    return sum(bytes_of(graph.values[name]) for name in cut.values)


def cut_from_names(graph: Graph, names: Sequence[str]) -> Cut:
    """The cut a user named by its values, in wire order, without those that nothing after it reads.

    Raises :class:`InputError` that suggests the nearest names, or says which values must cross as well.
    """
    prefix = prefix_of(graph, Cut(tuple(names)))
    cut = crossing(graph, prefix)
    if not cut.values:
        raise InputError(f"nothing of the model comes after {' + '.join(names)}; name a value before the last operator")
    return cut


def _check_name(graph: Graph, name: str) -> None:
    if name in graph.local:
        raise InputError(f"{_quoted(name)} cannot be sent: it is state, no tensor, or its shape depends on the data")
    if name in graph.activations:
        return
    if name in graph.constants:
        raise InputError(f"`{name}` is a constant of the model; constants never cross a cut")
    for operator in graph.operators:
        if operator.name == name:
            raise InputError(f"`{name}` is an operator; name the value it makes: {', '.join(operator.outputs)}")
    near = difflib.get_close_matches(name, graph.activations, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(_quoted, near))}?" if near else "`partway cuts MODEL` lists them"
    raise InputError(f"the model has no value {_quoted(name)}; {hint}")
