"""Small ONNX stages."""

from typing import Any

import onnx

helper, Kind = onnx.helper, onnx.TensorProto


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: tuple[Any, ...] = ()) -> bytes:
    """A stage's bytes."""
    graph = helper.make_graph(nodes, "stage", inputs, outputs, list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def info(name: str, kind: int, shape: list[Any]) -> Any:
    """A value's description."""
    return helper.make_tensor_value_info(name, kind, shape)


def identity(kind: int, shape: list[Any]) -> bytes:
    """A stage that hands its input on."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [info("x", kind, shape)], [info("y", kind, shape)])
