"""Gathering, scattering and sorting of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X3, X4, I, agree_on, floats, ints

CASES: dict[str, Any] = {
    "Gather": ("Gather", [X4, np.array([[0, -1], [2, 1]], I)], {"axis": 1}),
    "GatherScalar": ("Gather", [X4, np.array(-2, I)], {"axis": 2, "fixed": (1,)}),
    "GatherElements": ("GatherElements", [X3, np.zeros((2, 4, 3), I) - 1], {"axis": 2}),
    "GatherND": ("GatherND", [X4, np.array([[[0, 1]], [[5, -2]]], I)], {"batch_dims": 1}),
    "ScatterElements": ("ScatterElements", [X3, np.array([[[1, -1]]], I), floats(1, 1, 2)], {"axis": 2}),
    "ScatterAdd": ("ScatterElements", [X3, np.array([[[1, 1]]], I), floats(1, 1, 2)], {"axis": 2, "reduction": "add"}),
    "ScatterND": ("ScatterND", [X4, np.array([[0, 1], [1, -1]], I), floats(2, 9, 8)]),
    "TopK": ("TopK", [np.round(X4), ints(5)], {"outputs": 2, "axis": 2, "fixed": (1,)}),
    "TopKSmall": ("TopK", [X3, ints(2)], {"outputs": 2, "largest": 0}),
    "ArgMax": ("ArgMax", [np.round(X4)], {"axis": 1, "keepdims": 0}),
    "ArgMinLast": ("ArgMin", [np.round(X4)], {"axis": 2, "select_last_index": 1}),
    "NonZero": ("NonZero", [np.round(X3)]),
    "Compress": ("Compress", [X3, np.array([True, False, True, True])], {"axis": 1}),
    "CumSum": ("CumSum", [X3, np.array(1, I)], {"exclusive": 1, "reverse": 1, "fixed": (1,)}),
    "Trilu": ("Trilu", [X4, np.array(1, I)], {"upper": 0}),
    "EyeLike": ("EyeLike", [floats(4, 5)], {"k": -1}),
    "OneHot": ("OneHot", [ints(0, -1, 5, 2), np.array(4, I), floats(2)], {"axis": 0, "fixed": (1,)}),
    "GridSample": ("GridSample", [X4, np.tanh(floats(2, 5, 5, 2))]),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])
