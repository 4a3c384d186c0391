"""Resizing of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X4, F, agree, few, ints, node


@few
@given(
    st.sampled_from(["nearest", "linear", "cubic"]),
    st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]),
    st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    st.integers(1, 20),
    st.integers(1, 20),
    st.booleans(),
)
def test_resizing_to_sizes(mode: str, how: str, rounding: str, height: int, width: int, exclude: bool) -> None:
    """Every mode with every way to map coordinates, larger and smaller."""
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": how}
    if mode == "nearest":
        attributes["nearest_mode"] = rounding
    if mode == "cubic":
        attributes |= {"exclude_outside": int(exclude), "cubic_coeff_a": -0.5 if exclude else -0.75}
    inputs = [X4, None, None, ints(2, 6, height, width)]
    agree(node("Resize", inputs, fixed=(3,), **attributes), rtol=1e-3, atol=2e-5)


@few
@given(st.sampled_from(["nearest", "linear", "cubic"]), st.sampled_from([0.5, 0.6, 1.0, 1.5, 2.0, 3.0]),
       st.booleans(), st.booleans())  # fmt: skip
def test_resizing_by_scales(mode: str, scale: float, smooth: bool, exclude: bool) -> None:
    """Scales that do not fit the size, smoothing where it becomes smaller."""
    smooth = smooth and mode != "nearest" and scale <= 1
    attributes = {"mode": mode, "antialias": int(smooth), "exclude_outside": int(exclude and mode == "cubic")}
    agree(node("Resize", [X4, None, np.array([1, 1, scale, 2], F)], fixed=(2,), **attributes), rtol=1e-3, atol=2e-5)
    if mode != "cubic":
        agree(node("Resize", [X4, np.array([1, 1, scale, 2], F)], opset=10, fixed=(1,), mode=mode))
        agree(node("Upsample", [X4, np.array([1, 1, max(scale, 1), 2], F)], opset=9, fixed=(1,), mode=mode))
