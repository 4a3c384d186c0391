"""Find neighbouring operators that an engine fuses: a cut between them makes both sides slower."""

from __future__ import annotations

from collections.abc import Iterable

from partway.partitioner.graph.graph import Graph, OperatorSet, members

ACTIVATIONS = frozenset(
    [
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "Sigmoid",
        "Tanh",
        "Elu",
        "Selu",
        "HardSigmoid",
        "HardSwish",
        "Softplus",
        "Gelu",
        "Erf",
        "Mish",
        "Swish",
        "ThresholdedRelu",
        "QuickGelu",
        "FastGelu",
        "BiasGelu",
    ]
)
BIAS = frozenset({"Add", "Sub", "Mul", "Div"})
STEPS = 4
"""Operators looked at, one after another, for a QuantizeLinear."""
PRODUCERS = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "MatMulInteger",
        "ConvInteger",
        "BatchNormalization",
        "Add",
        "FusedConv",
    ]
)


def breaks_fusion(graph: Graph, prefix: OperatorSet, values: Iterable[str]) -> bool:
    """Whether a cut separates two operators that would run as one.

    Those are Conv, Gemm or MatMul with the normalisation, bias or activation after them, and a quantize or dequantize
    operator with the float operator it belongs to.
    """
    return any(
        _fuses(graph, graph.producers[name], reader) or _is_quantised_soon(graph, reader)
        for name in values
        if name in graph.producers
        for reader in members(graph.readers.get(name, 0) & ~prefix)
    )


def _is_quantised_soon(graph: Graph, reader: int) -> bool:
    """Whether an operator, and those without weights after it, lead to a QuantizeLinear: all run on integers."""
    for _ in range(STEPS):
        operator = graph.operators[reader]
        after = graph.readers.get(operator.outputs[0], 0) if operator.outputs else 0
        if operator.kind == "QuantizeLinear":
            return True
        if operator.constants or len(operator.inputs) != 1 or after.bit_count() != 1:
            return False
        reader = after.bit_length() - 1
    return False


def settled(graph: Graph, prefix: OperatorSet) -> OperatorSet:
    """The prefix extended by operators that fuse with its last ones and do not increase the crossing bytes."""
    waiting = [name for name in graph.crossing(prefix) if name in graph.producers]
    while waiting:
        name = waiting.pop()
        readers = graph.readers.get(name, 0)
        if readers.bit_count() == 1 and _follows(graph, name, readers.bit_length() - 1):
            prefix |= readers
            waiting.append(graph.operators[readers.bit_length() - 1].outputs[0])
    return prefix


def _follows(graph: Graph, name: str, reader: int) -> bool:
    after = graph.operators[reader]
    alone = len(after.inputs) == len(after.outputs) == 1 and after.kind != "DequantizeLinear"
    as_small = alone and graph.size_bytes(after.outputs[0]) <= graph.size_bytes(name)
    return as_small and _fuses(graph, graph.producers[name], reader)


def _fuses(graph: Graph, first: int, second: int) -> bool:
    before, after = graph.operators[first], graph.operators[second]
    if before.kind == "DequantizeLinear" or after.kind == "QuantizeLinear":
        return True
    if all(graph.readers.get(name, 0).bit_count() > 1 for name in before.outputs):
        return False  # an engine keeps what others read, too: both halves of x * sigmoid(x), for one
    if after.kind == "BatchNormalization" or after.kind in ACTIVATIONS:
        return before.kind in PRODUCERS or before.kind in BIAS
    return after.kind in BIAS and bool(after.constants) and len(after.inputs) == 1 and before.kind in PRODUCERS
