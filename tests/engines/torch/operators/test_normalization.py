"""Normalisations of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X4, agree_on, floats

CASES: dict[str, Any] = {
    "BatchNormalization": ("BatchNormalization", [X4, floats(6), floats(6), floats(6), np.abs(floats(6)) + 0.1]),
    "InstanceNormalization": ("InstanceNormalization", [X4, floats(6), floats(6, seed=2)]),
    "LayerNormalization": ("LayerNormalization", [X4, floats(9, 8), floats(9, 8)], {"axis": 2}),
    "LayerNormBroadcast": ("LayerNormalization", [X4, floats(8)], {"axis": -2, "epsilon": 1e-3}),
    "LayerNormAll": ("LayerNormalization", [X4, floats(8), floats(8)], {"outputs": 3}),
    "GroupNormalization": ("GroupNormalization", [X4, floats(6), floats(6)], {"opset": 21, "num_groups": 3}),
    "LRN": ("LRN", [X4], {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.5}),
    "LpNormalization": ("LpNormalization", [X4], {"axis": 1}),
    "MeanVarianceNormalization": ("MeanVarianceNormalization", [X4]),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])
