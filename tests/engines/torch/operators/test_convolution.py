"""Convolutions and poolings of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.onnx_operators import X3, X4, agree, agree_on, few, floats, node, small, windows

CASES: dict[str, Any] = {
    "GlobalAveragePool": ("GlobalAveragePool", [X4]),
    "GlobalMaxPool": ("GlobalMaxPool", [X4]),
    "GlobalLpPool": ("GlobalLpPool", [X4]),
    "LpPool": ("LpPool", [X4], {"kernel_shape": [3, 2], "p": 2, "strides": [2, 2]}),
    "MaxPoolPlaces": ("MaxPool", [X4], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "outputs": 2}),
    "Conv1": ("Conv", [X3, floats(6, 4, 3), floats(6)], {"pads": [1, 2]}),
    "Conv3": ("Conv", [floats(1, 2, 5, 6, 7), floats(3, 2, 2, 3, 2)], {"strides": [1, 2, 1]}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """The types, the shapes and the numbers are the same."""
    agree_on(CASES[name])


@few
@given(windows(), st.sampled_from([1, 2, 6]), small, small, st.booleans())
def test_convolutions(window: dict[str, Any], groups: int, kh: int, kw: int, bias: bool) -> None:
    """Any stride, dilation, padding and grouping."""
    if window["auto_pad"].startswith("SAME"):
        window["dilations"] = [1, 1]  # ONNX Runtime has another opinion on what SAME means then
    inputs = [X4, floats(6, 6 // groups, kh, kw, seed=1), floats(6, seed=2) if bias else None]
    agree(node("Conv", inputs, group=groups, fixed=(1,), **window))


@few
@given(windows(), st.sampled_from([1, 2]), small, st.integers(0, 1), st.booleans(), st.booleans())
def test_transposed_convolutions(
    window: dict[str, Any], groups: int, kernel: int, extra: int, bias: bool, shaped: bool
) -> None:
    """Padding cuts off, output padding and output shapes fill up."""
    strides, auto = window["strides"], window["auto_pad"]
    window["output_padding"] = [min(extra, stride - 1) for stride in strides]
    if auto != "NOTSET":  # the specification leaves open what these mean together with dilations and output padding
        window["dilations"], window["output_padding"] = [1, 1], [0, 0]
        if auto.startswith("SAME") and any(kernel < stride for stride in strides):
            return
    else:
        reach = [(kernel - 1) * d + 1 for d in window["dilations"]]
        window["pads"] = [min(pad, reach[at % 2] - 1) for at, pad in enumerate(window["pads"])]
    if shaped and auto == "NOTSET":
        del window["pads"]
        reach = [
            (n - 1) * s + (kernel - 1) * d + 1 for n, s, d in zip((9, 8), strides, window["dilations"], strict=True)
        ]
        window["output_shape"] = [max(1, n - 1) for n in reach]
        window["output_padding"] = [0, 0]
    inputs = [X4, floats(6, 3, kernel, kernel, seed=1), floats(3 * groups, seed=2) if bias else None]
    agree(node("ConvTranspose", inputs, group=groups, **window))


@few
@given(windows(dilated=False), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans(), st.booleans())
def test_poolings(window: dict[str, Any], kh: int, kw: int, ceil: bool, largest: bool, count: bool) -> None:
    """With padding that counts or not, and windows that reach past the end."""
    if "pads" in window:
        window["pads"] = [min(pad, (kh, kw)[at % 2] - 1) for at, pad in enumerate(window["pads"])]
    elif window["auto_pad"].startswith("SAME"):
        ceil, window["strides"] = False, [min(kh, window["strides"][0]), min(kw, window["strides"][1])]
    more = {} if largest else {"count_include_pad": int(count)}
    kind = "MaxPool" if largest else "AveragePool"
    agree(node(kind, [X4], kernel_shape=[kh, kw], ceil_mode=int(ceil), opset=19, **window, **more))
