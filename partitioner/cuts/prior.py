"""Coded bytes of a value that was never seen, from the operator that makes it and its depth in the graph.

Fitted by ``python -m benchmarks.cut_prior`` to the models of its table; docs/codecs.md has the errors.
"""

from __future__ import annotations

from partway.partitioner.graph.graph import Graph

SPARSE = frozenset({"Relu", "Clip", "MaxPool", "RELU", "RELU6", "MAX_POOL_2D", "Softmax", "ThresholdedRelu"})
QUANTISED = {"int8": 1, "uint8": 1}
_BITS_OF_LEVEL = {"sparse": (16.0, 3.6, 2.3, 1.1), "dense": (16.0, 5.6, 3.7, 1.9), "integer": (5.4, 5.4, 3.6, 1.8)}
_PICTURE = (0.22, 0.22, 0.12, 0.085)


def bytes_per_value(graph: Graph, name: str, level: int) -> float:
    """Bytes of one element of a value at a level of ``costs.LEVELS``."""
    return _BITS_OF_LEVEL[kind_of(graph, name)][level] / 8


def kind_of(graph: Graph, name: str) -> str:
    """``integer`` for 8-bit values, ``sparse`` after a rectifier or what keeps its zeros, else ``dense``."""
    spec = graph.values[name]
    if spec.dtype in QUANTISED:
        return "integer"
    at = graph.producers.get(name)
    return "sparse" if at is not None and graph.operators[at].kind in SPARSE else "dense"


def share_of_picture(level: int) -> float:
    """What a photograph's pixels and channels are multiplied by to get its bytes as a JPEG."""
    return _PICTURE[level]
