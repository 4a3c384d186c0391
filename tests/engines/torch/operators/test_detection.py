"""Box selection of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import F, agree_on, floats, ints

CASES: dict[str, Any] = {
    "NonMaxSuppression": (
        "NonMaxSuppression",
        [np.cumsum(np.abs(floats(1, 20, 4)), -1), np.abs(floats(1, 2, 20)), ints(6), np.array([0.3], F)],
        {"fixed": (2, 3)},
    ),
    "NonMaxSuppressionAbove": (
        "NonMaxSuppression",
        [np.abs(floats(2, 30, 4)), np.abs(floats(2, 3, 30)), ints(9), np.array([0.5], F), np.array([0.7], F)],
        {"center_point_box": 1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])
