"""Count an operator's multiply-adds from shapes, a proxy for time until it is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
"""Shapes of an operator's inputs or outputs, in its order; ``None`` where there is no tensor or it is unknown."""

FREE = frozenset(
    [
        "Constant",
        "ConstantOfShape",
        "Shape",
        "Size",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Dropout",
    ]
)
PER_ELEMENT = {
    "Softmax": 5, "LogSoftmax": 5, "LayerNormalization": 5, "InstanceNormalization": 5, "GroupNormalization": 5,
    "LRN": 8, "BatchNormalization": 2, "Gelu": 8, "Erf": 8, "Tanh": 8, "Sigmoid": 8, "Exp": 4, "Mish": 10, "Resize": 4,
}  # fmt: skip


def multiply_adds(kind: str, inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    """Multiply-adds of one operator for the given shapes; element-wise work counts a few per output element.

    ``kind`` follows the names of the ONNX operator set. An unknown kind counts one per output element, an operator
    with weights of unknown use (a function or a control-flow body) is left to the caller.
    """
    if kind in FREE:
        return 0
    rule = RULES.get(kind)
    if rule is not None and not _missing(kind, inputs, outputs):
        return int(rule(inputs, outputs, attributes))
    return PER_ELEMENT.get(kind, 1) * sum(elements(shape) for shape in outputs)


def elements(shape: Shape | None) -> int:
    """Number of elements; an unknown shape counts as none."""
    return 0 if shape is None else math.prod(shape)


def _missing(kind: str, inputs: Shapes, outputs: Shapes) -> bool:
    weight = WEIGHT_AT.get(kind, 0)
    return not outputs or len(inputs) <= weight or inputs[0] is None or inputs[weight] is None


def _conv(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any], weight: int = 1) -> int:
    kernel = inputs[weight] or (1, 1)
    return elements(outputs[0]) * math.prod(kernel[1:])


def _conv_transpose(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    return elements(inputs[0]) * math.prod((inputs[1] or (1, 1))[1:])


def _qlinear_conv(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    return _conv(inputs, outputs, attributes, weight=3)


def _matmul(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    return elements(outputs[0]) * (inputs[0] or (1,))[-1]


def _gemm(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    matrix = inputs[0] or (1, 1)
    return elements(outputs[0]) * matrix[0 if attributes.get("transA") else -1]


def _recurrent(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    steps_and_batch = math.prod((inputs[0] or (1, 1))[:2])
    return steps_and_batch * (elements(inputs[1]) + elements(inputs[2]))


def _pool(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    window: Sequence[int] = attributes.get("kernel_shape", (1,))
    return elements(outputs[0]) * math.prod(window)


def _reduce(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    return elements(inputs[0])


def _attention(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    queries, keys = elements(inputs[0]), (1, *(inputs[1] or (1, 1)))[-2]
    return 2 * queries * keys


def _einsum(inputs: Shapes, outputs: Shapes, attributes: Mapping[str, Any]) -> int:
    equation = attributes.get("equation", b"").decode().replace(" ", "").split("->")[0]
    sizes: dict[str, int] = {}
    for term, shape in zip(equation.split(","), inputs, strict=False):
        sizes.update(zip(term.replace("...", ""), reversed(shape or ()), strict=False))
    return math.prod(sizes.values())


Rule = Callable[[Shapes, Shapes, Mapping[str, Any]], int]
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger", "NhwcConv"), _conv),
    "ConvTranspose": _conv_transpose,
    "QLinearConv": _qlinear_conv,
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "MatMulNBits"), _matmul),
    **dict.fromkeys(("Gemm", "QGemm", "FusedGemm"), _gemm),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "QLinearAveragePool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "QLinearGlobalAveragePool"), _reduce),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ArgMax", "TopK"), _reduce),
    "Attention": _attention,
    "Einsum": _einsum,
}
WEIGHT_AT = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger", "NhwcConv", "ConvTranspose", "Attention"), 1),
    "QLinearConv": 3, "LSTM": 2, "GRU": 2, "RNN": 2,
}  # fmt: skip
