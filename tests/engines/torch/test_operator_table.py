"""Every operator of the torch engine against ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.engines.onnxruntime.engine import OnnxEngine

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from partway.engines.torch.engine import TorchEngine  # noqa: E402

helper = onnx.helper
F, I = np.float32, np.int64  # noqa: E741
Array = np.ndarray[Any, Any]
TORCH, ONNX = TorchEngine(1), OnnxEngine(1)


def floats(*shape: int, seed: int = 0) -> Array:
    """Numbers around zero."""
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


def ints(*values: int) -> Array:
    """A shape, axes or the like."""
    return np.array(values, I)


def node(
    kind: str, inputs: Sequence[Any], outputs: int = 1, opset: int = 18, fixed: Sequence[int] = (), **attributes: Any
) -> tuple[bytes, dict[str, Array]]:
    """One operator as a model, and its inputs; those in ``fixed`` places are constants. None is left out."""
    names = [f"i{at}" if value is not None else "" for at, value in enumerate(inputs)]
    arrays = {name: value for name, value in zip(names, inputs, strict=True) if name}
    constants = [onnx.numpy_helper.from_array(inputs[at], names[at]) for at in fixed]
    outs = [f"o{at}" for at in range(outputs)]
    fed = {name: array for name, array in arrays.items() if int(name[1:]) not in fixed}

    def info(name: str, array: Array) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, [None if array.ndim > 1 else n for n in array.shape])

    made = helper.make_node(kind, names, outs, name="it", **attributes)
    graph = helper.make_graph([made], "g", [info(*pair) for pair in fed.items()], [], constants)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 19 else 10)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    types = {value.name: value for value in (*inferred.graph.output, *inferred.graph.value_info)}
    del model.graph.output[:]
    for name in outs:
        known = types[name].type.tensor_type if name in types else None
        free = [None] * len(known.shape.dim) if known is not None and known.HasField("shape") else None
        model.graph.output.append(helper.make_tensor_value_info(name, (known.elem_type if known else 0) or 1, free))
    return bytes(model.SerializeToString()), fed


def agree(case: tuple[bytes, dict[str, Array]], rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Same types, same shapes, same numbers."""
    stage, values = case
    want = ONNX.load(stage).run(values)
    got = TORCH.load(stage).run(values)
    for name, expected in want.items():
        assert (got[name].dtype, got[name].shape) == (expected.dtype, expected.shape), name
        np.testing.assert_allclose(got[name], expected, rtol=rtol, atol=atol * (np.abs(expected).max(initial=1)))


X4 = floats(2, 6, 9, 8)
X3 = floats(2, 4, 7)
UNARY = """Abs Neg Ceil Floor Round Sign Sin Cos Tan Atan Sinh Cosh Tanh Asinh Exp Erf Relu Sigmoid Softsign
    Softplus HardSwish Identity LeakyRelu Elu Celu Selu ThresholdedRelu HardSigmoid Shrink Mish IsNaN IsInf"""
POSITIVE = "Sqrt Log Reciprocal Acosh"
WITHIN = "Asin Acos Atanh"
BINARY = "Add Sub Mul Div Equal Less Greater GreaterOrEqual LessOrEqual Min Max Sum Mean PRelu"
REDUCE = "Sum Mean Max Min Prod L1 L2 SumSquare LogSumExp"

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
    "BatchNormalization": ("BatchNormalization", [X4, floats(6), floats(6), floats(6), np.abs(floats(6)) + 0.1]),
    "InstanceNormalization": ("InstanceNormalization", [X4, floats(6), floats(6, seed=2)]),
    "LayerNormalization": ("LayerNormalization", [X4, floats(9, 8), floats(9, 8)], {"axis": 2}),
    "LayerNormBroadcast": ("LayerNormalization", [X4, floats(8)], {"axis": -2, "epsilon": 1e-3}),
    "LayerNormAll": ("LayerNormalization", [X4, floats(8), floats(8)], {"outputs": 3}),
    "GroupNormalization": (
        "GroupNormalization", [X4, floats(6), floats(6)], {"opset": 21, "num_groups": 3}),
    "LRN": ("LRN", [X4], {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.5}),
    "LpNormalization": ("LpNormalization", [X4], {"axis": 1}),
    "MeanVarianceNormalization": ("MeanVarianceNormalization", [X4]),
    "GlobalAveragePool": ("GlobalAveragePool", [X4]),
    "GlobalMaxPool": ("GlobalMaxPool", [X4]),
    "GlobalLpPool": ("GlobalLpPool", [X4]),
    "LpPool": ("LpPool", [X4], {"kernel_shape": [3, 2], "p": 2, "strides": [2, 2]}),
    "MaxPoolPlaces": (
        "MaxPool", [X4], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "outputs": 2}),
    "Conv1": ("Conv", [X3, floats(6, 4, 3), floats(6)], {"pads": [1, 2]}),
    "Conv3": ("Conv", [floats(1, 2, 5, 6, 7), floats(3, 2, 2, 3, 2)], {"strides": [1, 2, 1]}),
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
    "Gather": ("Gather", [X4, np.array([[0, -1], [2, 1]], I)], {"axis": 1}),
    "GatherScalar": ("Gather", [X4, np.array(-2, I)], {"axis": 2, "fixed": (1,)}),
    "GatherElements": ("GatherElements", [X3, np.zeros((2, 4, 3), I) - 1], {"axis": 2}),
    "GatherND": ("GatherND", [X4, np.array([[[0, 1]], [[5, -2]]], I)], {"batch_dims": 1}),
    "ScatterElements": ("ScatterElements", [X3, np.array([[[1, -1]]], I), floats(1, 1, 2)], {"axis": 2}),
    "ScatterAdd": (
        "ScatterElements", [X3, np.array([[[1, 1]]], I), floats(1, 1, 2)], {"axis": 2, "reduction": "add"}),
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
    "NonMaxSuppression": (
        "NonMaxSuppression",
        [np.cumsum(np.abs(floats(1, 20, 4)), -1), np.abs(floats(1, 2, 20)), ints(6), np.array([0.3], F)],
        {"fixed": (2, 3)}),
    "NonMaxSuppressionAbove": (
        "NonMaxSuppression",
        [np.abs(floats(2, 30, 4)), np.abs(floats(2, 3, 30)), ints(9), np.array([0.5], F), np.array([0.7], F)],
        {"center_point_box": 1}),
    "QuantizeLinear": ("QuantizeLinear", [X4 * 40, np.array(0.3, F), np.array(7, np.uint8)]),
    "QuantizeAxis": ("QuantizeLinear", [X4 * 40, np.abs(floats(6)) + 0.1, np.zeros(6, np.int8)], {"axis": 1}),
    "DequantizeLinear": (
        "DequantizeLinear", [(X4 * 20).astype(np.int8), np.abs(floats(6)), np.arange(6, dtype=np.int8)]),
    "DynamicQuantizeLinear": ("DynamicQuantizeLinear", [X4], {"outputs": 3}),
    "MatMulInteger": (
        "MatMulInteger",
        [np.arange(12, dtype=np.uint8).reshape(3, 4), np.full((4, 2), 5, np.int8), np.full((), 3, np.uint8)]),
    "ConvInteger": (
        "ConvInteger",
        [(X4 * 9 + 90).astype(np.uint8), (floats(2, 6, 3, 3) * 9).astype(np.int8), np.array(90, np.uint8)],
        {"pads": [1, 1, 1, 1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator_does_what_onnx_runtime_does(name: str) -> None:
    """One case each; those with many settings are tried at random below."""
    kind, inputs, *options = CASES[name]
    agree(node(kind, inputs, **(options[0] if options else {})))


few = settings(max_examples=40, deadline=None, derandomize=True)
AUTO = st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
small = st.integers(1, 3)


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> dict[str, Any]:
    """Attributes of a window that moves over two dimensions."""
    auto = draw(AUTO)
    found: dict[str, Any] = {"auto_pad": auto, "strides": [draw(small), draw(small)]}
    if dilated:
        found["dilations"] = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    if auto == "NOTSET":
        found["pads"] = [draw(st.integers(0, 2)) for _ in range(4)]
    return found


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
