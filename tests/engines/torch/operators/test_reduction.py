"""Reductions and matrix products of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X3, X4, agree_on, floats, ints

REDUCE = "Sum Mean Max Min Prod L1 L2 SumSquare LogSumExp"

CASES: dict[str, Any] = {
    "Gemm": ("Gemm", [floats(5, 4), floats(3, 4), floats(3)], {"transB": 1, "fixed": (1, 2)}),
    "GemmAlpha": ("Gemm", [floats(4, 5), floats(4, 3), floats(5, 1)], {"transA": 1, "alpha": 0.5, "beta": 2.0}),
    "GemmBare": ("Gemm", [floats(5, 4), floats(4, 3)]),
    "MatMul": ("MatMul", [floats(2, 3, 4, 5), floats(3, 5, 6)]),
    "MatMulVector": ("MatMul", [floats(5), floats(3, 5, 6)]),
    "Einsum": ("Einsum", [floats(2, 3, 4), floats(2, 4, 5)], {"equation": "b i j, bjk -> bik"}),
    "Det": ("Det", [floats(3, 4, 4)]),
    **{f"Reduce{k}Old": (f"Reduce{k}", [X4], {"opset": 11, "axes": [1, -1], "keepdims": 0}) for k in REDUCE.split()},
    **{f"Reduce{k}": (f"Reduce{k}", [X4, ints(2, 3)], {"fixed": (1,)}) for k in REDUCE.split()},
    **{f"Reduce{k}All": (f"Reduce{k}", [X3], {"keepdims": 0}) for k in REDUCE.split()},
    "ReduceIdle": ("ReduceSum", [X3, ints()], {"noop_with_empty_axes": 1, "fixed": (1,)}),
    "ReduceMeanInt": ("ReduceMean", [(X3 * 9).astype(np.int32)], {"keepdims": 0}),
    "ReduceLogSum": ("ReduceLogSum", [np.abs(X3) + 1]),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])
