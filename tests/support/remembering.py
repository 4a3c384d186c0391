"""Models that keep state between frames, small and written here: an ONNX recurrence and TFLite resource variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 256


def recurrent_onnx(path: Path, state: str = "state", after: str = "stateN", batch: Any = "batch") -> Path:
    """The model of ``recurrent_bytes`` as a file."""
    path.write_bytes(recurrent_bytes(state, after, batch))
    return path


def recurrent_bytes(state: str = "state", after: str = "stateN", batch: Any = "batch") -> bytes:
    """x [N, 256] -> y [N, 8]; the state [N, 256] is mixed in at the third of six steps and handed on."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def linear(source: str, name: str, out: int = SIZE) -> str:
        weights.append(numpy_helper.from_array((rng.standard_normal((SIZE, out)) / 16).astype(np.float32), f"w_{name}"))
        nodes.append(helper.make_node("MatMul", [source, f"w_{name}"], [f"m_{name}"], name=f"m_{name}"))
        nodes.append(helper.make_node("Tanh", [f"m_{name}"], [name], name=name))
        return name

    first = linear(linear("x", "a"), "b", SIZE)
    fed = linear(state, "f")
    nodes.append(helper.make_node("Add", [first, fed], ["sum"], name="sum"))
    nodes.append(helper.make_node("Tanh", ["sum"], [after], name=after))
    last = linear(after, "c", 64)
    weights.append(numpy_helper.from_array((rng.standard_normal((64, 8)) / 4).astype(np.float32), "w_y"))
    nodes.append(helper.make_node("MatMul", [last, "w_y"], ["y"], name="y"))
    sides = [batch, SIZE]
    graph = helper.make_graph(
        nodes,
        "recurrence",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("x", state)],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [sides[0], 8]),
            helper.make_tensor_value_info(after, TensorProto.FLOAT, sides),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def counting_tflite(path: Path, initial: float | None = 5.0) -> Path:
    """x [1, 4] -> x plus the sum of all earlier ones and ``initial``, in a resource variable; times a constant before.

    Without ``initial`` the variable is read before anything is assigned.
    """
    from ai_edge_litert import schema_py_generated as tfl
    from tests.support.tflite_models import Model
    from tests.support.tflite_nets import add, variable, weight

    net = Model()
    x = net.tensor("x", "float32", (1, 4))
    if initial is not None:
        options = tfl.CallOnceOptionsT()
        options.initSubgraphIndex = _initialisation(net, initial)
        net.operator("CALL_ONCE", [], [], options)
    a = add(net, x, weight(net, "w0", 1, 4), "a")
    held = net.tensor("held", "float32", (1, 4))
    net.operator("READ_VARIABLE", [variable(net, "sum")], [held], tfl.ReadVariableOptionsT())
    total = add(net, a, held, "total")
    net.operator("ASSIGN_VARIABLE", [variable(net, "sum"), total], [], tfl.AssignVariableOptionsT())
    b = add(net, total, weight(net, "w1", 1, 4), "b")
    again = net.tensor("again", "float32", (1, 4))
    net.operator("READ_VARIABLE", [variable(net, "sum")], [again], tfl.ReadVariableOptionsT())
    path.write_bytes(net.pack([x], [add(net, b, again, "y")]))
    return path


def _initialisation(net: Any, value: float) -> int:
    """A subgraph that assigns ``value`` to the variable; returns its number."""
    from ai_edge_litert import schema_py_generated as tfl
    from tests.support.tflite_models import Model
    from tests.support.tflite_nets import variable

    other = Model()
    other.made = net.made
    graph = tfl.SubGraphT()
    graph.name, graph.tensors, graph.operators = "init", [], []
    other.graph = graph
    net.made.subgraphs.append(graph)
    first = other.tensor("first", "float32", (1, 4), np.full((1, 4), value, np.float32))
    other.operator("ASSIGN_VARIABLE", [variable(other, "sum"), first], [], tfl.AssignVariableOptionsT())
    graph.inputs, graph.outputs = [], []
    return len(net.made.subgraphs) - 1


def plain_tflite(path: Path, frames: list[np.ndarray]) -> list[np.ndarray]:
    """The first output of a plain interpreter that keeps its variables, frame by frame."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for frame in frames:
        interpreter.set_tensor(source, frame)
        interpreter.invoke()
        found.append(interpreter.get_tensor(target).copy())
    return found


def picture_onnx(path: Path) -> Path:
    """image [1, 3, 8, 8] and h -> hn, the running sum of pictures, and y [1, 3], its means."""
    nodes = [
        helper.make_node("Add", ["image", "h"], ["hn"]),
        helper.make_node("ReduceMean", ["hn"], ["y"], axes=[2, 3], keepdims=0),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in {"image": [1, 3, 8, 8], "h": [1, 3, 8, 8], "hn": [1, 3, 8, 8], "y": [1, 3]}.items()
    }
    graph = helper.make_graph(nodes, "sum", [values["image"], values["h"]], [values["y"], values["hn"]])
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return path
