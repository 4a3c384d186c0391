"""The cheapest prefix of a graph, by minimum cut.

The construction is that of DADS (Hu et al., "Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge",
INFOCOM 2019): an operator costs its device time on the source's side and its cloud time on the sink's, and each value
has a node of its own so that it is paid for once however many operators read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.cuts.maxflow import SINK, SOURCE, Floats, Network, source_side
from partway.partitioner.graph.graph import Graph, OperatorSet, members
from partway.proto.tensors import TensorSpec


@dataclass(frozen=True)
class Problem:
    """What a cut costs: seconds of each operator on either side, bits of each value, values that stay on the device.

    ``device_s`` and ``cloud_s`` go with ``graph.operators``; ``bits`` with ``graph.activations``. Only prefixes that
    contain ``least`` and lie within ``most`` (both prefixes) are solutions.
    """

    graph: Graph
    device_s: tuple[float, ...]
    cloud_s: tuple[float, ...]
    bits: tuple[float, ...]
    staying: frozenset[str]
    least: OperatorSet
    most: OperatorSet

    def own_s(self, prefix: OperatorSet) -> float:
        """Extra seconds of running a prefix on the device instead of in the cloud."""
        return math.fsum(self.device_s[index] - self.cloud_s[index] for index in members(prefix))

    def crossing_bits(self, prefix: OperatorSet) -> float:
        """Bits that cross after a prefix; infinite when a value crosses that must stay."""
        names = self.graph.crossing(prefix)
        if not self.staying.isdisjoint(names):
            return math.inf
        return math.fsum(self._bits_of[name] for name in names)

    @cached_property
    def _bits_of(self) -> dict[str, float]:
        return dict(zip(self.graph.activations, self.bits, strict=True))

    @cached_property
    def edges(self) -> _Edges:
        """The flow network of this problem."""
        return _edges(self)


def cut_problem(
    graph: Graph,
    device_s: Sequence[float],
    cloud_s: Sequence[float],
    *,
    bytes_of: Callable[[TensorSpec], float] | None = None,
    keep: Collection[str] = (),
    between: tuple[OperatorSet, OperatorSet] | None = None,
) -> Problem:
    """Build the minimisation problem.

    ``keep`` names values that must not leave the device, ``between`` a smallest and a largest prefix.
    Raises :class:`InputError` for a value in ``keep`` that the model does not have, or times that do not fit the graph.
    """
    for name in keep:
        if name not in graph.activations:
            raise InputError(f"the model has no value `{name}` to keep on the device")
    for times in (device_s, cloud_s):
        if len(times) != len(graph.operators) or not all(0 <= time < math.inf for time in times):
            raise InputError(f"a model of {len(graph.operators)} operators needs as many times, none of them negative")
    staying = graph.local | frozenset(keep)
    bits = tuple(0.0 if name in staying else 8 * _bytes(graph, name, bytes_of) for name in graph.activations)
    least, most = between or (0, graph.everything)
    return Problem(graph, tuple(device_s), tuple(cloud_s), bits, staying, least, most)


def _bytes(graph: Graph, name: str, bytes_of: Callable[[TensorSpec], float] | None) -> float:
    return float(graph.size_bytes(name)) if bytes_of is None else float(bytes_of(graph.values[name]))


@dataclass(frozen=True, slots=True)
class _Edges:
    """The network, and which problem quantity each edge's capacity comes from.

    ``own`` holds each edge's device-minus-cloud seconds (0 elsewhere), ``bits`` each edge's bits, ``fixed`` marks the
    edges that must not be cut.
    """

    network: Network
    own_s: Floats
    bits: Floats
    fixed: np.ndarray[Any, np.dtype[np.bool_]]


def _edges(problem: Problem) -> _Edges:
    """Nodes: source (the device's side), sink, operators, activations."""
    rows = [*_operator_edges(problem), *_value_edges(problem), *_order_edges(problem.graph)]
    tails, heads, own, bits_of, fixed = zip(*rows, strict=True)
    nodes = FIRST + len(problem.graph.operators) + len(problem.graph.activations)
    network = Network(nodes, np.array(tails, np.int32), np.array(heads, np.int32))
    return _Edges(network, np.array(own), np.array(bits_of), np.array(fixed))


_Edge = tuple[int, int, float, float, bool]
FIRST = 2


def _operator_edges(problem: Problem) -> Iterator[_Edge]:
    """An operator's extra seconds on the slower side; a fixed edge when its side is given."""
    for at, (device_s, cloud_s) in enumerate(zip(problem.device_s, problem.cloud_s, strict=True), start=FIRST):
        inside = problem.most & ~problem.least & 1 << at - FIRST
        on_device = problem.least & 1 << at - FIRST if not inside else device_s <= cloud_s
        ends = (SOURCE, at) if on_device else (at, SINK)
        yield (*ends, abs(device_s - cloud_s) if inside else 0.0, 0.0, not inside)


def _value_edges(problem: Problem) -> Iterator[_Edge]:
    """A crossing value is paid once: an edge from its producer (or the source) to it, then one to each reader."""
    graph = problem.graph
    first = FIRST + len(graph.operators)
    for at, (name, bits) in enumerate(zip(graph.activations, problem.bits, strict=True), start=first):
        producer = FIRST + graph.producers[name] if name in graph.producers else SOURCE
        yield producer, at, 0.0, bits, name in problem.staying
        for reader in members(graph.readers.get(name, 0)):
            yield at, FIRST + reader, 0.0, 0.0, True


def _order_edges(graph: Graph) -> Iterator[_Edge]:
    """An operator runs after the producers of its inputs."""
    for at, operator in enumerate(graph.operators):
        for producer in sorted({graph.producers[name] for name in operator.inputs if name in graph.producers}):
            yield FIRST + at, FIRST + producer, 0.0, 0.0, True


def cheapest(problem: Problem, per_second: float, per_bit: float) -> OperatorSet:
    """The smallest prefix of least ``per_second * own_s + per_bit * bits``.

    Exact up to the rounding of capacities: within ``(operators + values) / 2**26`` of the least cost, leaving out what
    no choice changes (1.5e-5 for 1,000 of them, at the very worst).
    """
    edges = problem.edges
    capacities = edges.own_s * per_second + edges.bits * per_bit
    capacities[edges.fixed] = np.inf
    side = source_side(edges.network, capacities, bound=float(capacities[~edges.fixed].sum()))
    return sum(1 << int(at) for at in np.flatnonzero(side[2 : 2 + len(problem.graph.operators)]))
