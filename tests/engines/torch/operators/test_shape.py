"""Operators on shapes of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X3, X4, F, I, agree, agree_on, few, floats, ints, node

CASES: dict[str, Any] = {
    "Shape": ("Shape", [X4], {"start": 1, "end": -1}),
    "Size": ("Size", [X4]),
    "Reshape": ("Reshape", [X4, ints(0, -1, 8)], {"fixed": (1,)}),
    "ReshapeFed": ("Reshape", [X4, ints(0, 6, -1)]),
    "Flatten": ("Flatten", [X4], {"axis": 2}),
    "FlattenAll": ("Flatten", [X4], {"axis": 0}),
    "Transpose": ("Transpose", [X4], {"perm": [0, 2, 3, 1]}),
    "TransposeAll": ("Transpose", [X4]),
    "Squeeze": ("Squeeze", [floats(2, 1, 3, 1), ints(1, -1)], {"fixed": (1,)}),
    "SqueezeOld": ("Squeeze", [floats(2, 1, 3, 1)], {"opset": 11, "axes": [3]}),
    "SqueezeAll": ("Squeeze", [floats(2, 1, 3, 1)]),
    "Unsqueeze": ("Unsqueeze", [X3, ints(-1, 0)], {"fixed": (1,)}),
    "Concat": ("Concat", [X3, floats(2, 2, 7)], {"axis": -2}),
    "Split": ("Split", [X4], {"outputs": 2, "axis": 1, "num_outputs": 2}),
    "SplitSizes": ("Split", [X4, ints(1, 2, 3)], {"outputs": 3, "axis": 1, "fixed": (1,)}),
    "SplitOne": ("Split", [X4, ints(6)], {"axis": 1, "fixed": (1,)}),
    "SliceOld": ("Slice", [X4], {"opset": 9, "starts": [1, -5], "ends": [4, -1], "axes": [1, 2]}),
    "Expand": ("Expand", [floats(3, 1), ints(2, 1, 6)], {"fixed": (1,)}),
    "Tile": ("Tile", [X3, ints(1, 2, 3)], {"fixed": (1,)}),
    "ConstantOfShape": ("ConstantOfShape", [ints(2, 3)]),
    "Range": ("Range", [np.array(1, I), np.array(9, I), np.array(3, I)]),
    "DepthToSpace": ("DepthToSpace", [floats(1, 8, 2, 3)], {"blocksize": 2}),
    "DepthToSpaceCRD": ("DepthToSpace", [floats(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    "SpaceToDepth": ("SpaceToDepth", [floats(1, 2, 4, 6)], {"blocksize": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])


@few
@given(
    st.sampled_from(["constant", "reflect", "edge", "wrap"]),
    st.lists(st.integers(-2, 5), min_size=4, max_size=4),
    st.booleans(),
)
def test_padding(mode: str, widths: list[int], fed: bool) -> None:
    """Every mode, cutting off as well where the specification has it."""
    if mode != "constant":
        widths = [abs(width) for width in widths]
    inputs = [X4, ints(*widths), np.array(0.5, F) if mode == "constant" else None, ints(2, -1)]
    agree(node("Pad", inputs, opset=19, fixed=(1, 3) if fed else (1, 2, 3) if inputs[2] is not None else (1, 3),
               mode=mode))  # fmt: skip


@few
@given(st.lists(st.tuples(st.integers(-12, 12), st.integers(-12, 12), st.sampled_from([-3, -1, 1, 2])), min_size=1,
                max_size=3), st.booleans())  # fmt: skip
def test_slices(cuts: list[tuple[int, int, int]], fed: bool) -> None:
    """Any start, end and step, forwards or backwards, also past the ends."""
    starts, ends, steps = (ints(*column) for column in zip(*cuts, strict=True))
    inputs = [X4, starts, ends, ints(*range(1, 1 + len(cuts))), steps]
    agree(node("Slice", inputs, fixed=() if fed else (1, 2, 3, 4)))
