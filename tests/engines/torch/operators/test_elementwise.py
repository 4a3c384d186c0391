"""Elementwise operators of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X3, X4, F, agree_on, floats, ints

UNARY = """Abs Neg Ceil Floor Round Sign Sin Cos Tan Atan Sinh Cosh Tanh Asinh Exp Erf Relu Sigmoid Softsign
    Softplus HardSwish Identity LeakyRelu Elu Celu Selu ThresholdedRelu HardSigmoid Shrink Mish IsNaN IsInf"""
POSITIVE = "Sqrt Log Reciprocal Acosh"
WITHIN = "Asin Acos Atanh"
BINARY = "Add Sub Mul Div Equal Less Greater GreaterOrEqual LessOrEqual Min Max Sum Mean PRelu"

CASES: dict[str, Any] = {
    **{kind: (kind, [X4 * 3]) for kind in UNARY.split()},
    **{kind: (kind, [np.abs(X4) + 1.5]) for kind in POSITIVE.split()},
    **{kind: (kind, [np.tanh(X4) * 0.9]) for kind in WITHIN.split()},
    **{kind: (kind, [X4, floats(6, 1, 8, seed=1)]) for kind in BINARY.split()},
    "Pow": ("Pow", [np.abs(X4), np.array(2.5, F)]),
    "DivInt": ("Div", [ints(7, -7, 8), ints(2, 2, -3)]),
    "ModInt": ("Mod", [ints(7, -7, 8), ints(3, 3, -3)]),
    "ModFloat": ("Mod", [X3 * 5, np.abs(X3) + 1], {"fmod": 1}),
    "And": ("And", [X3 > 0, X3 > 0.5]),
    "Xor": ("Xor", [X3 > 0, X3 > 0.5]),
    "Not": ("Not", [X3 > 0]),
    "Where": ("Where", [X3 > 0, X3, floats(1, 1, 7)]),
    "Clip": ("Clip", [X4, np.array(-0.5, F), np.array(0.5, F)], {"fixed": (1, 2)}),
    "ClipFed": ("Clip", [X4, np.array(-0.5, F), np.array(0.5, F)]),
    "ClipMax": ("Clip", [X4, None, np.array(0.5, F)]),
    "ClipOld": ("Clip", [X4], {"opset": 6, "min": -0.2, "max": 6.0}),
    "CastInt": ("Cast", [X4 * 10], {"to": 7}),
    "CastBool": ("Cast", [X4], {"to": 9}),
    "CastHalf": ("Cast", [X4], {"to": 10}),
    "CastLike": ("CastLike", [X4, ints(1)]),
    "Gelu": ("Gelu", [X4], {"opset": 20}),
    "GeluTanh": ("Gelu", [X4], {"opset": 20, "approximate": "tanh"}),
    "Softmax": ("Softmax", [X4], {"axis": 1}),
    "SoftmaxOld": ("Softmax", [X4], {"opset": 11, "axis": 2}),
    "LogSoftmax": ("LogSoftmax", [X4]),
    "Hardmax": ("Hardmax", [X4], {"axis": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])
