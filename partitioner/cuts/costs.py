"""What a cut is chosen by: coded bytes of every value, and seconds of every operator, measured or estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from partway.partitioner.cuts.prior import bytes_per_value, share_of_picture
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.preprocess import guess_preprocess
from partway.proto.tensors import TensorSpec

LEVELS = ("fp16", "q8", "q6", "q4")
"""How finely values are coded: which of these a model bears is known only after calibration, so a chain serves all."""
PICTURES = ("jpeg95", "jpeg95", "jpeg85", "jpeg75")
"""What split 0 competes with at each level, where the input is a picture."""
CODING_S = 8e-9
"""Seconds a machine takes to code one value: this machine's at eight bits, unless measured."""
WORK_PER_S, TRAFFIC_PER_S, OPERATOR_S = 4.0e10, 1.2e10, 2e-6
"""Multiply-adds and bytes a second, and seconds each operator costs, of this machine (benchmarks/cut_prior.py)."""


@dataclass(frozen=True)
class Costs:
    """Costs of a graph's values and operators.

    ``coded`` has for each of LEVELS the bytes of values by name at batch 1; ``coding_s`` the seconds to code a value
    here; ``operator_s`` goes with ``graph.operators``. ``picture`` is what split 0 sends at each level, None where the
    input is no picture. ``bytes_from`` and ``times_from`` tell people where the numbers come from.
    """

    coded: tuple[Mapping[str, float], ...]
    coding_s: Mapping[str, float]
    operator_s: tuple[float, ...]
    picture: tuple[float, ...] | None
    bytes_from: str
    times_from: str

    def typical_bytes(self, spec: TensorSpec) -> float:
        """Bytes of a value at the middle level."""
        return self.coded[2][spec.name]


def estimated_costs(graph: Graph) -> Costs:
    """Costs from the graph alone: bytes by kind of operator and depth, seconds by arithmetic and memory traffic."""
    coded = tuple(
        {name: _prior_bytes(graph, name, level) for name in graph.activations} for level in range(len(LEVELS))
    )
    return Costs(
        coded,
        {name: CODING_S * _elements(graph, name) for name in graph.activations},
        estimated_seconds(graph),
        estimated_picture(graph),
        "estimated by kind of operator and depth",
        "estimated from arithmetic and memory traffic",
    )


def estimated_seconds(graph: Graph) -> tuple[float, ...]:
    """Seconds of each operator by its multiply-adds and the bytes it reads and writes; nothing for one without work."""
    return tuple(
        operator.work / WORK_PER_S + graph.traffic_bytes(1 << at) / TRAFFIC_PER_S + OPERATOR_S if operator.work else 0.0
        for at, operator in enumerate(graph.operators)
    )


def estimated_picture(graph: Graph) -> tuple[float, ...] | None:
    """Bytes of a typical photograph of the input's size at each level; None where the input cannot be a picture."""
    if len(graph.inputs) != 1 or graph.inputs[0] not in graph.values:
        return None
    picture = guess_preprocess(graph.values[graph.inputs[0]])
    if picture is None:
        return None
    return tuple(share_of_picture(level) * math.prod(picture.shape) for level in range(len(LEVELS)))


def _prior_bytes(graph: Graph, name: str, level: int) -> float:
    """At most the value uncoded."""
    size = float(graph.size_bytes(name))
    if name not in graph.values:
        return size
    return min(size, bytes_per_value(graph, name, level) * _elements(graph, name))


def _elements(graph: Graph, name: str) -> float:
    if name not in graph.values:
        return 0.0
    return graph.size_bytes(name) / np.dtype(graph.values[name].dtype).itemsize
