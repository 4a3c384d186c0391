"""Which operators a kernel runs, on models that ONNX Runtime rewrites in many ways."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from tests.support.architectures import ARCHITECTURES, Net  # noqa: E402
from tests.support.operator_times import by_name, times  # noqa: E402

from partway.engines.onnx_file.graph import Node, OnnxGraph  # noqa: E402
from partway.engines.onnxruntime.fused import groups, leader  # noqa: E402


def test_a_convolution_goes_with_its_normalisation_and_activation() -> None:
    """Conv, BatchNormalization and Relu run as one, and Gemm with its Relu; both go by what takes the time."""
    found = by_name(times(ARCHITECTURES["chain"]().model))
    assert (found["n0"].kind, found["n0"].fused) == ("Conv", ("n0", "n1", "n2"))
    assert (found["n8"].kind, found["n8"].fused) == ("Gemm", ("n8", "n9"))
    assert (found["n3"].kind, found["n3"].fused) == ("MaxPool", ())


def test_an_activation_belongs_to_the_convolution_before_it_not_the_one_after() -> None:
    """Also where neither a name nor a value is left of it, as between convolutions in the blocked layout."""
    found = by_name(times(ARCHITECTURES["mobile"]().model, ARCHITECTURES["mobile"]().sizes))
    assert found["n2"].fused == ("n2", "n3")  # Clip
    assert "n5" not in found["n6"].fused  # HardSwish, of n4


def test_the_fusions_of_a_transformer_are_undone() -> None:
    """Layer normalisation and GELU, written as nine and five operators, are one group each; scaled MatMuls too."""
    net = Net(30)
    scores = net.op("MatMul", "x", net.op("Transpose", "x", perm=[0, 2, 1]))
    attention = net.op("Softmax", net.op("Div", scores, net.constant(np.float32(8))), axis=-1)
    x = net.op("Add", net.op("MatMul", attention, "x"), "x")
    x, norm = layer_norm(net, x, 64)
    hidden = net.op("Add", net.op("MatMul", x, net.weight(64, 128)), net.weight(128))
    x, gelu = gelu_of(net, hidden)
    net.op("MatMul", x, net.weight(128, 64), out="y")
    found = by_name(times(net.model([("x", ["N", 16, 64])], [("y", ["N", 16, 64])])))
    assert set(norm) <= set(found[norm[-1]].fused)
    assert set(gelu) <= set(found[gelu[-1]].fused)
    div = next(node.name for node in net.nodes if node.op_type == "Div")
    assert any(one.kind == "MatMul" and div in one.fused for one in found.values())


def layer_norm(net: Net, x: str, width: int) -> tuple[str, list[str]]:
    """Its last value and the names of its operators, as exporters wrote it before opset 17."""
    begun = len(net.nodes)
    centred = net.op("Sub", x, net.op("ReduceMean", x, axes=[-1], keepdims=1))
    squares = net.op("Pow", centred, net.constant(np.float32(2)))
    variance = net.op("ReduceMean", squares, axes=[-1], keepdims=1)
    deviation = net.op("Sqrt", net.op("Add", variance, net.constant(np.float32(1e-5))))
    scaled = net.op("Mul", net.op("Div", centred, deviation), net.weight(width))
    return net.op("Add", scaled, net.weight(width)), [node.name for node in net.nodes[begun:]]


def gelu_of(net: Net, x: str) -> tuple[str, list[str]]:
    """The same for GELU by the error function."""
    begun = len(net.nodes)
    erf = net.op("Erf", net.op("Div", x, net.constant(np.float32(2**0.5))))
    gated = net.op("Mul", x, net.op("Add", erf, net.constant(np.float32(1))))
    return net.op("Mul", gated, net.constant(np.float32(0.5))), [node.name for node in net.nodes[begun:]]


def test_a_quantised_convolution_goes_by_its_convolution() -> None:
    """Dequantise, Conv, quantise become one integer kernel; its group names the float operators of the model."""
    net = Net(31)
    scale, zero = net.constant(np.float32(0.03)), net.constant(np.uint8(10))
    x = net.op("DequantizeLinear", net.op("QuantizeLinear", "x", scale, zero), scale, zero)
    for before, after in ((3, 8), (8, 8)):
        values = net.rng.integers(-100, 100, (after, before, 3, 3)).astype(np.int8)
        weight_scale = net.constant(np.float32(0.01))
        weight = net.op("DequantizeLinear", net.constant(values), weight_scale, net.constant(np.int8(0)))
        bias = net.constant(net.rng.integers(-50, 50, after).astype(np.int32))
        bias_scale = net.constant(np.float32(0.03) * np.float32(0.01))
        bias = net.op("DequantizeLinear", bias, bias_scale, net.constant(np.int32(0)))
        x = net.op("QuantizeLinear", net.op("Conv", x, weight, bias, pads=[1] * 4), scale, zero)
        x = net.op("DequantizeLinear", x, scale, zero)
    net.op("Identity", x, out="y")
    found = times(net.model([("x", ["N", 3, 16, 16])], [("y", ["N", 8, 16, 16])]))
    kinds = {node.name: node.op_type for node in net.nodes}
    convs = [[kinds[name] for name in one.fused] for one in found if one.kind == "Conv"]
    assert convs == [["DequantizeLinear", "Conv", "QuantizeLinear"]] * 2


@pytest.mark.parametrize(("name", "operator"), [("loop", "n5"), ("conditional", "n9"), ("scan", "n4")])
def test_what_runs_in_a_body_is_the_operators_time(name: str, operator: str) -> None:
    """Not counted a second time: the body's kernels are nowhere else, and the operator is called once a run."""
    model = ARCHITECTURES[name]().model
    found = times(model)
    assert by_name(found)[operator].calls == 1
    outside = {node.op_type for node in model.graph.node} | {"ReorderInput", "ReorderOutput"}
    assert {one.kind for one in found} <= outside


def test_a_recurrent_layer_is_one_operator() -> None:
    """LSTM and GRU by name, the Identity after it as part of the GRU."""
    found = by_name(times(ARCHITECTURES["recurrent"]().model))
    assert (found["n0"].kind, found["n4"].kind, found["n4"].fused) == ("LSTM", "GRU", ("n4", "n5"))


def test_a_function_of_the_model_is_one_operator() -> None:
    """Its kernels, inlined and fused, are its time."""
    found = by_name(times(ARCHITECTURES["local_functions"]().model))
    assert (found["n0"].kind, found["n0"].calls) == ("Block", 2)


def test_a_kernel_is_known_by_number_by_value_or_not_at_all() -> None:
    """A number in its name, a value that it makes, and what was inserted between them."""
    nodes = (
        Node("@0@", "Conv", ("x", "w"), ("c",)),
        Node("@1@", "Relu", ("c",), ("r",)),
        Node("@2@", "Gemm", ("r",), ("y",)),
    )
    model = OnnxGraph(nodes, frozenset({"x"}), ("y",), frozenset({"w"}))
    ran = [
        Node("ReorderInput", "ReorderInput", ("x",), ("x2",)),
        Node("fused @0@", "Conv", ("x2", "w"), ("r",), activation="Relu"),
        Node("", "Gemm", ("r",), ("y",)),
    ]
    assert groups(model, ran) == ([(0, 1), (2,)], [None, 0, 1])
    assert leader(model, (0, 1)) == 0
