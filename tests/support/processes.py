"""Commands as processes, and a model that they slice in no time."""

import sys
from pathlib import Path

from onnx import TensorProto, helper


def program(name: str) -> str:
    """The path of an installed command."""
    return str(Path(sys.executable).with_name(name))


def write_tiny_model(path: Path) -> None:
    """The largest of 16 numbers without their signs."""
    nodes = [helper.make_node("Abs", ["x"], ["a"]), helper.make_node("ReduceMax", ["a"], ["top"], axes=[1], keepdims=1)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", n]) for name, n in (("x", 16), ("top", 1))]
    made = helper.make_model(
        helper.make_graph(nodes, "tiny", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 13)]
    )
    made.ir_version = 8
    path.write_bytes(made.SerializeToString())
