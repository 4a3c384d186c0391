"""Multiply-adds of TFLite operators, whose weight layouts differ from ONNX (output channels first)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from partway.partitioner.graph.flops import Shapes, elements

FREE = frozenset({
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE", "RANK", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE",
    "BITCAST",
})  # fmt: skip
PER_ELEMENT = {
    "SOFTMAX": 5, "LOG_SOFTMAX": 5, "L2_NORMALIZATION": 3, "LOCAL_RESPONSE_NORMALIZATION": 8, "GELU": 8, "TANH": 8,
    "LOGISTIC": 8, "EXP": 4, "HARD_SWISH": 3, "RESIZE_BILINEAR": 4,
}  # fmt: skip
REDUCTIONS = frozenset({
    "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL", "ARG_MAX", "ARG_MIN",
    "TOPK_V2",
})  # fmt: skip
RECURRENT = frozenset({
    "LSTM", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN", "SVDF",
})  # fmt: skip


def multiply_adds(kind: str, inputs: Shapes, outputs: Shapes, weights: int, options: Any) -> int:
    """Multiply-adds of one operator for the given shapes; element-wise work counts a few per output element.

    ``weights`` is how many constants the operator reads, element by element; ``options`` its option table. An operator
    that this module does not know (a custom one, a loop) counts each of its weights once.
    """
    if kind in FREE:
        return 0
    done = sum(elements(shape) for shape in outputs)
    if kind in RECURRENT:
        first = inputs[0] or (1,)
        steps = math.prod(first[:-1]) if "SEQUENCE" in kind else first[0] if first else 1
        return steps * weights
    if kind in REDUCTIONS:
        return elements(inputs[0]) if inputs else done
    rule = RULES.get(kind)
    if rule is not None and len(inputs) > 1 and inputs[0] is not None and inputs[1]:
        return int(rule(inputs, outputs, options))
    if kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        return done * abs(int(getattr(options, "filterHeight", 1)) * int(getattr(options, "filterWidth", 1)))
    return PER_ELEMENT.get(kind, 1) * done


def _convolution(inputs: Shapes, outputs: Shapes, options: Any) -> int:
    """Filter [O, ...window, I]."""
    return elements(outputs[0]) * math.prod((inputs[1] or ())[1:])


def _convolution_3d(inputs: Shapes, outputs: Shapes, options: Any) -> int:
    """Filter [D, H, W, I, O]."""
    return elements(outputs[0]) * math.prod((inputs[1] or ())[:-1])


def _depthwise(inputs: Shapes, outputs: Shapes, options: Any) -> int:
    """Filter [1, H, W, O]."""
    return elements(outputs[0]) * math.prod((inputs[1] or ())[:-1])


def _transposed(inputs: Shapes, outputs: Shapes, options: Any) -> int:
    """Inputs are the output's shape, the filter [O, H, W, I], the picture."""
    picture = inputs[2] if len(inputs) > 2 else None
    return elements(picture) * math.prod((inputs[1] or ())[:-1])


def _fully_connected(inputs: Shapes, outputs: Shapes, options: Any) -> int:
    """Filter [O, I]."""
    return elements(outputs[0]) * (inputs[1] or (1,))[-1]


def _matmul(inputs: Shapes, outputs: Shapes, options: Any) -> int:
    matrix = inputs[0] or (1, 1)
    return elements(outputs[0]) * (matrix[-2] if getattr(options, "adjX", False) and len(matrix) > 1 else matrix[-1])


RULES: dict[str, Callable[[Shapes, Shapes, Any], int]] = {
    "CONV_2D": _convolution, "CONV_3D": _convolution_3d, "DEPTHWISE_CONV_2D": _depthwise, "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _fully_connected, "BATCH_MATMUL": _matmul,
}  # fmt: skip
