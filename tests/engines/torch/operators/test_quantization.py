"""Quantised operators of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X4, F, agree_on, floats

CASES: dict[str, Any] = {
    "QuantizeLinear": ("QuantizeLinear", [X4 * 40, np.array(0.3, F), np.array(7, np.uint8)]),
    "QuantizeAxis": ("QuantizeLinear", [X4 * 40, np.abs(floats(6)) + 0.1, np.zeros(6, np.int8)], {"axis": 1}),
    "DequantizeLinear": (
        "DequantizeLinear",
        [(X4 * 20).astype(np.int8), np.abs(floats(6)), np.arange(6, dtype=np.int8)],
    ),
    "DynamicQuantizeLinear": ("DynamicQuantizeLinear", [X4], {"outputs": 3}),
    "MatMulInteger": (
        "MatMulInteger",
        [np.arange(12, dtype=np.uint8).reshape(3, 4), np.full((4, 2), 5, np.int8), np.full((), 3, np.uint8)],
    ),
    "ConvInteger": (
        "ConvInteger",
        [(X4 * 9 + 90).astype(np.uint8), (floats(2, 6, 3, 3) * 9).astype(np.int8), np.array(90, np.uint8)],
        {"pads": [1, 1, 1, 1]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])
