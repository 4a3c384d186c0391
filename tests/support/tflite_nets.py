"""TFLite models of every kind the slicer must deal with, written through the schema classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl
from tests.support.tflite_models import Model

RNG = np.random.default_rng(0)


def add(net: Model, a: int, b: int, name: str, shape: tuple[int | None, ...] = (1, 4)) -> int:
    """A sum, under this name."""
    out = net.tensor(name, "float32", shape)
    net.operator("ADD", [a, b], [out], tfl.AddOptionsT())
    return out


def weight(net: Model, name: str, *shape: int) -> int:
    """A constant of random numbers."""
    return net.tensor(name, "float32", shape, RNG.standard_normal(shape).astype(np.float32))


def chain(names: tuple[str, ...] = ("a", "b", "c")) -> bytes:
    """x plus one constant after another, the values under these names."""
    net = Model()
    x = last = net.tensor("x", "float32", (1, 4))
    for index, name in enumerate(names):
        last = add(net, last, weight(net, f"w{index}", 1, 4), name)
    return net.pack([x], [last])


def body(net: Model, kind: str, name: str, constant: str) -> int:
    """A subgraph of one operator on [1, 4] and a constant of its own; returns its number."""
    other = Model()
    other.made = net.made
    graph = tfl.SubGraphT()
    graph.name, graph.tensors, graph.operators = name, [], []
    other.graph = graph
    net.made.subgraphs.append(graph)
    a = other.tensor(f"{name}_in", "float32", (1, 4))
    c = weight(other, constant, 1, 4)
    out = other.tensor(f"{name}_out", "float32", (1, 4))
    other.operator(kind, [a, c], [out], tfl.AddOptionsT() if kind == "ADD" else tfl.MulOptionsT())
    graph.inputs, graph.outputs = [a], [out]
    return len(net.made.subgraphs) - 1


def conditional() -> bytes:
    """A sum, an ``IF`` on a second input with a body of its own each way, a sum; an unused third subgraph in front."""
    net = Model()
    x, on = net.tensor("x", "float32", (1, 4)), net.tensor("on", "bool", (1,))
    first = add(net, x, weight(net, "w0", 1, 4), "first")
    body(net, "ADD", "nobody", "unused")
    options = tfl.IfOptionsT()
    options.thenSubgraphIndex, options.elseSubgraphIndex = (
        body(net, "ADD", "then", "then_w"),
        body(net, "MUL", "else", "else_w"),
    )
    middle = net.tensor("middle", "float32", (1, 4))
    net.operator("IF", [on, first], [middle], options)
    return net.pack([x, on], [add(net, middle, weight(net, "w1", 1, 4), "last")])


def loop() -> bytes:
    """A ``WHILE`` that doubles x until its sum is at least 100, between two sums."""
    net = Model()
    x = net.tensor("x", "float32", (1, 4))
    first = add(net, x, weight(net, "w0", 1, 4), "first")
    options = tfl.WhileOptionsT()
    options.bodySubgraphIndex = body(net, "ADD", "step", "step_w")
    condition = Model()
    condition.made, condition.graph = net.made, tfl.SubGraphT()
    graph = condition.graph
    graph.name, graph.tensors, graph.operators = "more", [], []
    a = condition.tensor("more_in", "float32", (1, 4))
    axes, limit = condition.tensor("axes", "int32", (2,), [0, 1]), condition.tensor("limit", "float32", (), 100.0)
    total, more = condition.tensor("total", "float32", ()), condition.tensor("more", "bool", ())
    condition.operator("SUM", [a, axes], [total], tfl.ReducerOptionsT())
    condition.operator("LESS", [total, limit], [more], tfl.LessOptionsT())
    graph.inputs, graph.outputs = [a], [more]
    net.made.subgraphs.append(graph)
    options.condSubgraphIndex = len(net.made.subgraphs) - 1
    net.made.buffers[net.made.subgraphs[1].tensors[1].buffer].data = np.full(4, 9.5, np.float32).view(np.uint8)
    middle = net.tensor("middle", "float32", (1, 4))
    net.operator("WHILE", [first], [middle], options)
    return net.pack([x], [add(net, middle, weight(net, "w1", 1, 4), "last")])


def variable(net: Model, name: str) -> int:
    """A handle to a resource variable."""
    handle = net.tensor(f"handle_{len(net.graph.tensors)}", "int32", ())
    net.graph.tensors[handle].type = tfl.TensorType.RESOURCE
    options = tfl.VarHandleOptionsT()
    options.container, options.sharedName = "", name
    net.operator("VAR_HANDLE", [], [handle], options)
    return handle


def remembering() -> bytes:
    """A resource variable written in the middle (``b``) and read again through another handle near the end."""
    net = Model()
    x = net.tensor("x", "float32", (1, 4))
    a = add(net, x, weight(net, "w0", 1, 4), "a")
    b = add(net, a, weight(net, "w1", 1, 4), "b")
    net.operator("ASSIGN_VARIABLE", [variable(net, "memory"), b], [], tfl.AssignVariableOptionsT())
    c = add(net, b, weight(net, "w2", 1, 4), "c")
    again = net.tensor("again", "float32", (1, 4))
    net.operator("READ_VARIABLE", [variable(net, "memory")], [again], tfl.ReadVariableOptionsT())
    d = add(net, c, again, "d")
    return net.pack([x], [add(net, d, weight(net, "w3", 1, 4), "e")])


def shared_state() -> bytes:
    """One variable tensor that two operators read, a sum between them."""
    net = Model()
    x, state = net.tensor("x", "float32", (1, 4)), net.tensor("state", "float32", (1, 4), variable=True)
    a = add(net, x, weight(net, "w0", 1, 4), "a")
    c = add(net, add(net, a, state, "b"), weight(net, "w1", 1, 4), "c")
    d = add(net, c, state, "d")
    return net.pack([x], [add(net, d, weight(net, "w2", 1, 4), "e")])


def recurrent() -> bytes:
    """An int8-free SVDF with its own state between two sums: state that one operator keeps to itself."""
    net = Model()
    x = net.tensor("x", "float32", (1, 4))
    a = add(net, x, weight(net, "w0", 1, 4), "a")
    state = net.tensor("state", "float32", (1, 6), variable=True)
    out = net.tensor("b", "float32", (1, 2))
    options = tfl.SVDFOptionsT()
    options.rank = 1
    net.operator("SVDF", [a, weight(net, "feature", 2, 4), weight(net, "time", 2, 3), -1, state], [out], options)
    return net.pack([x], [add(net, out, weight(net, "w1", 1, 2), "c", (1, 2))])


def half_weights() -> bytes:
    """Weights of float16 that ``DEQUANTIZE`` operators widen, one of them for two operators."""
    net = Model()
    x = last = net.tensor("x", "float32", (1, 4))
    widened = []
    for index in range(2):
        half = net.tensor(f"half{index}", "float16", (1, 4), RNG.standard_normal((1, 4)))
        widened.append(net.tensor(f"wide{index}", "float32", (1, 4)))
        net.operator("DEQUANTIZE", [half], [widened[-1]], tfl.DequantizeOptionsT())
    for index, source in enumerate((0, 1, 0)):
        last = add(net, last, widened[source], f"v{index}")
    return net.pack([x], [last])


def detector() -> bytes:
    """A custom operator that LiteRT brings along, between two sums; four outputs."""
    net = Model()
    boxes, scores = net.tensor("boxes", "float32", (1, 6, 4)), net.tensor("scores", "float32", (1, 6, 3))
    moved = add(net, boxes, weight(net, "w0", 1, 6, 4), "moved", (1, 6, 4))
    surer = add(net, scores, weight(net, "w1", 1, 6, 3), "surer", (1, 6, 3))
    anchors = net.tensor("anchors", "float32", (6, 4), RNG.random((6, 4)))
    shapes = {"where": (1, 3, 4), "class": (1, 3), "score": (1, 3), "count": (1,)}
    outs = [net.tensor(name, "float32", shape) for name, shape in shapes.items()]
    net.operator("CUSTOM", [moved, surer, anchors], outs, custom="TFLite_Detection_PostProcess")
    net.graph.operators[-1].customOptions = np.frombuffer(DETECTION, np.uint8)
    doubled = add(net, outs[2], outs[2], "doubled", (1, 3))
    return net.pack([boxes, scores], [*outs[:2], doubled, outs[3]])


def _detection_options() -> bytes:
    from flatbuffers import flexbuffers

    entries: dict[str, Any] = {
        "max_detections": 3, "max_classes_per_detection": 1, "nms_score_threshold": -10.0, "nms_iou_threshold": 0.6,
        "num_classes": 2, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    return bytes(flexbuffers.Dumps(entries))


DETECTION = _detection_options()
NETS = {
    "chain": chain, "conditional": conditional, "loop": loop, "remembering": remembering, "shared_state": shared_state,
    "recurrent": recurrent, "half_weights": half_weights, "detector": detector,
}  # fmt: skip


def save(path: Path, data: bytes) -> Path:
    """Write a model; returns its path."""
    path.write_bytes(data)
    return path


def changed(data: bytes, **fields: Any) -> bytes:
    """The model with fields of its ``ModelT`` replaced."""
    model = tfl.ModelT.InitFromPackedBuf(data, 0)
    for name, value in fields.items():
        setattr(model, name, value)
    return packed(model)


def packed(model: Any) -> bytes:
    """A ``ModelT`` as a file."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
