"""Single ONNX operators as models, run by torch and by ONNX Runtime and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import settings
from hypothesis import strategies as st

from partway.engines.onnxruntime.engine import OnnxEngine
from partway.engines.torch.engine import TorchEngine

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


def agree_on(case: Sequence[Any]) -> None:
    """A case of a table: the operator's kind, its inputs, and what ``node`` takes besides."""
    kind, inputs, *options = case
    agree(node(kind, inputs, **(options[0] if options else {})))


X4 = floats(2, 6, 9, 8)
X3 = floats(2, 4, 7)
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
