"""Small models of every shape that real ones come in, with random weights, built operator by operator."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Architecture:
    """A model to slice.

    The batch sizes it takes, whether answers must be equal to the bit, the sizes its inputs need, and whether an engine
    fuses float operators into integer ones: then only cuts between those keep the last digit.
    """

    model: onnx.ModelProto
    batches: tuple[int, ...] = (1,)
    exact: bool = False
    fused: bool = False
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)


class Net:
    """Collects nodes and weights."""

    def __init__(self, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def constant(self, array, name=None):
        name = name or f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape, scale=0.3):
        return self.constant((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def op(self, kind, *inputs, outputs=1, out=None, domain="", **attributes):
        names = [out] if out else [f"{kind.lower()}{len(self.nodes)}_{at}" for at in range(outputs)]
        node = helper.make_node(kind, inputs, names, name=f"n{len(self.nodes)}", domain=domain, **attributes)
        self.nodes.append(node)
        return names[0] if len(names) == 1 else names

    def conv(self, x, before, after, kernel=3, relu=True, **attributes):
        pads = [kernel // 2] * 4
        y = self.op("Conv", x, self.weight(after, before, kernel, kernel), self.weight(after), pads=pads, **attributes)
        return self.op("Relu", y) if relu else y

    def batch_norm(self, x, channels):
        positive = self.constant((self.rng.random(channels) + 0.5).astype(np.float32))
        return self.op("BatchNormalization", x, positive, self.weight(channels), self.weight(channels), positive)

    def linear(self, x, before, after, out=None):
        return self.op("Gemm", x, self.weight(before, after), self.weight(after), out=out)

    def model(self, inputs, outputs, opset=17, ir_version=8, functions=(), domains=(), inputs_too=False):
        declared = [_value(*one) for one in inputs]
        if inputs_too:
            declared += [_value(one.name, one.dims, one.data_type) for one in self.weights]
        graph = helper.make_graph(self.nodes, "net", declared, [_value(*one) for one in outputs], self.weights)
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
        model = helper.make_model(graph, opset_imports=opsets, functions=list(functions), producer_name="tests")
        model.ir_version = ir_version
        onnx.checker.check_model(model)
        return model


def _value(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


BATCH = (1, 2, 5)


def chain():
    """Convolutions, normalisation, pooling, a classifier: LeNet's kind."""
    net = Net()
    x = net.op("Relu", net.batch_norm(net.conv("image", 3, 8, relu=False), 8))
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("MaxPool", net.conv(x, 8, 4), kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Relu", net.linear(net.op("Flatten", x), 64, 16))
    net.linear(x, 16, 10, out="logits")
    return Architecture(net.model([("image", ["N", 3, 16, 16])], [("logits", ["N", 10])]), BATCH)


def residual():
    """ResNet blocks, with the slashes and colons that exporters put into names."""
    net = Net(1)
    x = net.op("MaxPool", net.conv("net/input:0", 3, 8), kernel_shape=[2, 2], strides=[2, 2])
    for block in range(3):
        inner = net.conv(net.conv(x, 8, 8), 8, 8, relu=False)
        x = net.op("Relu", net.op("Add", x, inner), out=f"/block.{block}/relu:0")
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    net.linear(x, 8, 4, out="net/output:0")
    model = net.model([("net/input:0", ["batch", 3, 12, 12])], [("net/output:0", ["batch", 4])])
    return Architecture(model, BATCH)


def inception():
    """Four branches side by side, twice."""
    net = Net(2)
    x, channels = "image", 3
    for _ in range(2):
        pooled = net.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])
        branches = [
            net.conv(x, channels, 2, kernel=1),
            net.conv(net.conv(x, channels, 3, kernel=1), 3, 4),
            net.conv(net.conv(x, channels, 2, kernel=1), 2, 4, kernel=5),
            net.conv(pooled, channels, 2, kernel=1),
        ]
        x, channels = net.op("Concat", *branches, axis=1), 12
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    net.op("GlobalAveragePool", x, out="pooled")
    return Architecture(net.model([("image", ["N", 3, 12, 12])], [("pooled", ["N", 12, 1, 1])]), BATCH)


def densenet():
    """Every layer reads all layers before it."""
    net = Net(3)
    kept = [net.conv("image", 3, 4)]
    for layer in range(4):
        x = net.op("Concat", *kept, axis=1) if layer else kept[0]
        kept.append(net.conv(net.op("Relu", net.batch_norm(x, 4 * (layer + 1))), 4 * (layer + 1), 4))
    x = net.op("Concat", *kept, axis=1)
    x = net.op("AveragePool", net.conv(x, 20, 6, kernel=1), kernel_shape=[2, 2], strides=[2, 2])
    net.op("GlobalAveragePool", x, out="y")
    return Architecture(net.model([("image", ["N", 3, 8, 8])], [("y", ["N", 6, 1, 1])]), BATCH)


def unet():
    """Long skips from every scale of the way down to the same scale of the way up."""
    net = Net(4)
    down, x, channels = [], "image", 1
    for width in (4, 8, 12):
        x = net.conv(x, channels, width)
        down.append((x, width))
        x, channels = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), width
    x = net.conv(x, channels, 12)
    channels = 12
    for skip, width in reversed(down):
        up = net.op("ConvTranspose", x, net.weight(channels, width, 2, 2), strides=[2, 2])
        x = net.conv(net.op("Concat", up, skip, axis=1), 2 * width, width)
        channels = width
    net.op("Sigmoid", net.conv(x, channels, 1, kernel=1, relu=False), out="mask")
    return Architecture(net.model([("image", ["N", 1, 16, 16])], [("mask", ["N", 1, 16, 16])]), BATCH)


def detector():
    """Boxes and scores at two scales, and an auxiliary answer long before the end."""
    net = Net(5)
    first = net.op("MaxPool", net.conv("image", 3, 8), kernel_shape=[2, 2], strides=[2, 2])
    net.op("GlobalAveragePool", net.conv(first, 8, 2, kernel=1), out="early")
    second = net.op("MaxPool", net.conv(first, 8, 8), kernel_shape=[2, 2], strides=[2, 2])
    boxes, scores = [], []
    for scale in (first, second):
        shape = net.constant(np.array([0, 4, -1], np.int64))
        boxes.append(net.op("Reshape", net.conv(scale, 8, 4, relu=False), shape))
        shape = net.constant(np.array([0, 3, -1], np.int64))
        scores.append(net.op("Reshape", net.conv(scale, 8, 3, relu=False), shape))
    net.op("Concat", *boxes, axis=2, out="boxes")
    net.op("Sigmoid", net.op("Concat", *scores, axis=2), out="scores")
    outputs = [("early", ["N", 2, 1, 1]), ("boxes", ["N", 4, 80]), ("scores", ["N", 3, 80])]
    return Architecture(net.model([("image", ["N", 3, 16, 16])], outputs), BATCH)


def transformer():
    """Embedding, two encoder layers, shapes computed at run time from the batch."""
    net = Net(6)
    width, heads, length = 16, 4, 12
    x = net.op("Gather", net.weight(50, width), "tokens")
    x = net.op("Add", x, net.weight(length, width))
    for _ in range(2):
        x = net.op("Add", x, _attention(net, _layer_norm(net, x, width), width, heads))
        hidden = net.op("Add", net.op("MatMul", _layer_norm(net, x, width), net.weight(width, 32)), net.weight(32))
        gate = net.op("Mul", hidden, net.op("Sigmoid", hidden))
        x = net.op("Add", x, net.op("MatMul", gate, net.weight(32, width)))
    x = net.op("ReduceMean", x, axes=[1], keepdims=0)
    net.linear(x, width, 3, out="logits")
    tokens = ("tokens", ["batch", length], TensorProto.INT64)
    return Architecture(net.model([tokens], [("logits", ["batch", 3])]), BATCH)


def _layer_norm(net, x, width):
    return net.op("LayerNormalization", x, net.weight(width), net.weight(width))


def _attention(net, x, width, heads):
    batch = net.op("Gather", net.op("Shape", x), net.constant(np.array(0, np.int64)), axis=0)
    batch = net.op("Unsqueeze", batch, net.constant(np.array([0], np.int64)))
    split = net.op("Concat", batch, net.constant(np.array([-1, heads, width // heads], np.int64)), axis=0)
    q, k, v = (
        net.op("Transpose", net.op("Reshape", net.op("MatMul", x, net.weight(width, width)), split), perm=[0, 2, 1, 3])
        for _ in range(3)
    )
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
    mixed = net.op("MatMul", net.op("Softmax", net.op("Div", scores, net.constant(np.float32(2)))), v)
    joined = net.op("Concat", batch, net.constant(np.array([-1, width], np.int64)), axis=0)
    return net.op(
        "MatMul", net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1, 3]), joined), net.weight(width, width)
    )


def recurrent():
    """A bidirectional LSTM and a GRU, optional inputs left empty, batch in the second dimension."""
    net = Net(7)
    y = net.op(
        "LSTM", "x", net.weight(2, 24, 5), net.weight(2, 24, 6), hidden_size=6, direction="bidirectional", outputs=3
    )
    merged = net.op("Add", *net.op("Split", y[0], axis=1, outputs=2))
    merged = net.op("Squeeze", merged, net.constant(np.array([1], np.int64)))
    last = net.op("GRU", merged, net.weight(1, 12, 6), net.weight(1, 12, 4), "", "", "", hidden_size=4, outputs=2)[1]
    net.op("Identity", last, out="state")
    net.nodes[0].output[2] = ""
    return Architecture(net.model([("x", [9, "batch", 5])], [("state", [1, "batch", 4])]), BATCH)


def quantized_qdq():
    """Float operators between quantise and dequantise pairs, as quantisers write them."""
    net = Net(8)
    x = _quantized(net, "image")
    for before, after, pool in ((3, 8, True), (8, 8, True), (8, 4, False)):
        weight = net.op("DequantizeLinear", *_int8(net, after, before, 3, 3), net.constant(np.int8(0)))
        x = net.op("Relu", net.op("Conv", x, weight, net.weight(after), pads=[1] * 4))
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]) if pool else x
        x = _quantized(net, x)
    net.op("GlobalAveragePool", x, out="y")
    return Architecture(net.model([("image", ["N", 3, 16, 16])], [("y", ["N", 4, 1, 1])]), BATCH, fused=True)


def _int8(net, *shape):
    values = net.rng.integers(-100, 100, shape).astype(np.int8)
    return net.constant(values), net.constant(np.float32(0.004))


def _quantized(net, x):
    scale, zero = net.constant(np.float32(0.03)), net.constant(np.uint8(10))
    return net.op("DequantizeLinear", net.op("QuantizeLinear", x, scale, zero), scale, zero)


def quantized_integer():
    """Integer operators from the first to the last: equal to the bit."""
    net = Net(9)
    scale, zero = net.constant(np.float32(0.05)), net.constant(np.uint8(128))
    x = "image"
    for before, after in ((3, 8), (8, 8), (8, 4)):
        weight, weight_scale = _int8(net, after, before, 3, 3)
        quantized = (x, scale, zero, weight, weight_scale, net.constant(np.int8(0)), scale, zero)
        x = net.op("QLinearConv", *quantized, pads=[1] * 4)
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Reshape", x, net.constant(np.array([0, -1], np.int64)))
    weight, weight_scale = _int8(net, 16, 10)
    net.op("QLinearMatMul", x, scale, zero, weight, weight_scale, net.constant(np.int8(0)), scale, zero, out="y")
    image, y = ("image", ["N", 3, 16, 16], TensorProto.UINT8), ("y", ["N", 10], TensorProto.UINT8)
    return Architecture(net.model([image], [y]), BATCH, exact=True)


def shared_weights():
    """The same convolution and the same matrix used early and late, once transposed."""
    net = Net(10)
    kernel, matrix = net.weight(4, 4, 3, 3), net.weight(16, 8)
    x = net.conv("image", 3, 4)
    for _ in range(3):
        x = net.op("Relu", net.op("Conv", x, kernel, pads=[1] * 4))
    x = net.op("Flatten", net.op("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4]))
    code = net.op("Tanh", net.op("MatMul", x, matrix))
    net.op("MatMul", code, net.op("Transpose", matrix, perm=[1, 0]), out="y")
    return Architecture(net.model([("image", ["N", 3, 8, 8])], [("y", ["N", 16])]), BATCH)


def two_inputs():
    """Two towers, and a third input that joins near the end."""
    net = Net(11)
    towers = []
    for name in ("left", "right"):
        x = net.op("MaxPool", net.conv(name, 3, 4), kernel_shape=[2, 2], strides=[2, 2])
        towers.append(net.op("Flatten", net.op("MaxPool", net.conv(x, 4, 2), kernel_shape=[2, 2], strides=[2, 2])))
    x = net.op("Relu", net.linear(net.op("Concat", *towers, axis=1), 16, 8))
    x = net.op("Mul", x, "scale")
    net.linear(x, 8, 2, out="y")
    inputs = [("left", ["N", 3, 8, 8]), ("right", ["N", 3, 8, 8]), ("scale", ["N", 8])]
    return Architecture(net.model(inputs, [("y", ["N", 2])]), BATCH)


def parallel_from_input():
    """Two branches from the input to the end: no cut has fewer than two values."""
    net = Net(12)
    branches = []
    for width in (4, 6):
        x = net.op("MaxPool", net.conv("image", 3, width), kernel_shape=[2, 2], strides=[2, 2])
        branches.append(net.op("GlobalAveragePool", net.conv(x, width, 4)))
    net.op("Add", *branches, out="y")
    return Architecture(net.model([("image", ["N", 3, 8, 8])], [("y", ["N", 4, 1, 1])]), BATCH)


def conditional():
    """An If whose branches read values from outside, one of them made long before."""
    net = Net(13)
    early = net.op("MaxPool", net.conv("image", 3, 4), kernel_shape=[2, 2], strides=[2, 2])
    late = net.conv(net.conv(early, 4, 4), 4, 4)
    mean = net.op("ReduceMean", late, keepdims=0)
    condition = net.op("Greater", mean, net.constant(np.float32(0)))
    outer = net.constant(np.float32(3))
    bodies = {}
    for branch, kind in (("then_branch", "Add"), ("else_branch", "Sub")):
        inner = helper.make_node("Mul", [late, outer], [f"{branch}_scaled"])
        end = helper.make_node(kind, [f"{branch}_scaled", early], [f"{branch}_out"])
        bodies[branch] = helper.make_graph([inner, end], branch, [], [_value(f"{branch}_out", ["N", 4, 4, 4])])
    x = net.op("If", condition, **bodies)
    net.op("GlobalAveragePool", net.conv(x, 4, 2), out="y")
    return Architecture(net.model([("image", ["N", 3, 8, 8])], [("y", ["N", 2, 1, 1])]), BATCH)


def loop():
    """A Loop that carries a state and reads a value from outside in every round."""
    net = Net(14)
    outside = net.op("MaxPool", net.conv("image", 3, 4), kernel_shape=[2, 2], strides=[2, 2])
    state = net.conv(outside, 4, 4)
    kernel = net.weight(4, 4, 3, 3, scale=0.1)
    nodes = [
        helper.make_node("Identity", ["going"], ["still"]),
        helper.make_node("Conv", ["state_in", kernel], ["turned"], pads=[1] * 4),
        helper.make_node("Add", ["turned", outside], ["state_out"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [_value("round", [], TensorProto.INT64), _value("going", [], TensorProto.BOOL), _value("state_in", None)],
        [_value("still", [], TensorProto.BOOL), _value("state_out", None)],
    )
    rounds, going = net.constant(np.array(3, np.int64)), net.constant(np.array(True))
    x = net.op("Loop", rounds, going, state, body=body)
    net.op("GlobalAveragePool", net.conv(x, 4, 2), out="y")
    return Architecture(net.model([("image", ["N", 3, 8, 8])], [("y", ["N", 2, 1, 1])]), BATCH)


def scan():
    """A Scan over the sequence, with a captured weight and a captured value."""
    net = Net(15)
    x = net.op("Tanh", net.op("MatMul", "x", net.weight(5, 4)))
    bias = net.op("ReduceMean", x, axes=[0], keepdims=0)
    matrix = net.weight(4, 4)
    nodes = [
        helper.make_node("MatMul", ["state_in", matrix], ["turned"]),
        helper.make_node("Add", ["turned", "row"], ["summed"]),
        helper.make_node("Add", ["summed", bias], ["shifted"]),
        helper.make_node("Tanh", ["shifted"], ["state_out"]),
        helper.make_node("Identity", ["state_out"], ["row_out"]),
    ]
    values = [_value(name, ["N", 4]) for name in ("state_in", "row", "state_out", "row_out")]
    body = helper.make_graph(nodes, "body", values[:2], values[2:])
    start = net.op("Mul", bias, net.constant(np.float32(0)))
    rows = net.op("Scan", start, x, body=body, num_scan_inputs=1, outputs=2)[1]
    net.op("MatMul", net.op("ReduceMax", rows, axes=[0], keepdims=0), net.weight(4, 3), out="y")
    return Architecture(net.model([("x", [6, "N", 5])], [("y", ["N", 3])]), BATCH)


def local_functions():
    """Blocks that are functions of the model itself, one calling the other."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    swish_nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    swish = helper.make_function("local", "Swish", ["x"], ["y"], swish_nodes, opsets)
    block_nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Swish", ["c"], ["y"], domain="local"),
    ]
    block = helper.make_function("local", "Block", ["x", "w"], ["y"], block_nodes, opsets)
    net = Net(16)
    x = net.op("Block", "image", net.weight(6, 3, 3, 3), domain="local")
    x = net.op("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4])
    x = net.op("Block", x, net.weight(4, 6, 3, 3), domain="local")
    net.op("GlobalAveragePool", x, out="y")
    model = net.model(
        [("image", ["N", 3, 8, 8])], [("y", ["N", 4, 1, 1])], functions=(block, swish), domains=("local",)
    )
    return Architecture(model, BATCH)


def old_file():
    """Opset 7 and IR 3: weights listed as inputs too, one unused, constants as nodes, a mask nobody reads."""
    net = Net(17)
    net.constant(np.zeros(7, np.float32), "unused")
    x = net.conv("image", 3, 4)
    x = net.op("Dropout", x, ratio=0.5, outputs=2)[0]
    factor = net.op("Constant", value=numpy_helper.from_array(np.array(0.5, np.float32)))
    x = net.op("Mul", x, net.op("Add", factor, factor))
    x = net.op("Reshape", x, net.op("Constant", value=numpy_helper.from_array(np.array([1, 256], np.int64))))
    net.linear(x, 256, 5, out="y")
    model = net.model([("image", [1, 3, 8, 8])], [("y", [1, 5])], opset=7, ir_version=3, inputs_too=True)
    return Architecture(model)


def mobile():
    """Inverted residuals with depthwise convolutions; height and width are left open."""
    net = Net(18)
    x = net.conv("image", 3, 4, strides=[2, 2])
    for _ in range(2):
        wide = net.op("Clip", net.conv(x, 4, 16, kernel=1, relu=False), "", net.constant(np.float32(6)))
        deep = net.op("HardSwish", net.op("Conv", wide, net.weight(16, 1, 3, 3), group=16, pads=[1] * 4))
        x = net.op("Add", x, net.conv(deep, 16, 4, kernel=1, relu=False))
    net.op("GlobalAveragePool", x, out="y")
    image = ("image", ["batch", 3, "height", "width"])
    return Architecture(net.model([image], [("y", ["batch", 4, 1, 1])]), BATCH, sizes={"image": (None, 3, 16, 24)})


def constant_branches():
    """Weights computed from weights, shapes of weights, and a constant that is itself a model output."""
    net = Net(19)
    shape = net.op("Shape", net.weight(4, 64))
    filler = net.op("ConstantOfShape", shape)
    matrix = net.op("Add", net.op("Transpose", net.weight(64, 4), perm=[1, 0]), filler)
    x = net.op("Flatten", net.op("MaxPool", net.conv("image", 3, 4), kernel_shape=[2, 2], strides=[2, 2]))
    x = net.op("Relu", net.op("MatMul", x, net.op("Transpose", matrix, perm=[1, 0])))
    net.linear(x, 4, 3, out="y")
    net.op("Mul", net.weight(3), net.constant(np.float32(2)), out="fixed")
    return Architecture(net.model([("image", ["N", 3, 8, 8])], [("y", ["N", 3]), ("fixed", [3])]), BATCH)


ARCHITECTURES: dict[str, Callable[[], Architecture]] = {
    build.__name__: build
    for build in (
        chain, residual, inception, densenet, unet, detector, transformer, recurrent, quantized_qdq, quantized_integer,
        shared_weights, two_inputs, parallel_from_input, conditional, loop, scan, local_functions, old_file, mobile,
        constant_branches,
    )
}  # fmt: skip


def one_operator(kind="Relu", opset=17, domain="", shape=("N", 4)):
    """The smallest model: one operator from ``x`` to ``y``, unchecked."""
    node = helper.make_node(kind, ["x"], ["y"], domain=domain)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([node], "net", values[:1], values[1:])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets)


def wide(layers: int, width: int) -> onnx.ModelProto:
    """A row of large matrices."""
    net, x = Net(), "x"
    for layer in range(layers):
        x = net.op("Relu", net.op("MatMul", x, net.weight(width, width, scale=0.02)), out=f"layer{layer}")
    return net.model([("x", ["batch", width])], [(x, ["batch", width])])
