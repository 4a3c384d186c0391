"""Writes the trained network as ONNX, node by node from the layer table: every value has a readable name.

Batch normalisation is folded into the convolution before it: w' = w * gamma / sqrt(var + eps) and
b' = beta - mean * gamma / sqrt(var + eps).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from partway.partitioner.zoo.training.model import (
    CLASSES,
    INPUT,
    LAYERS,
    OUTPUT,
    SIDE,
    Conv,
    Dense,
    Flatten,
    Layer,
    Pool,
    Relu,
    norm_name,
)

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]

OPSET = 17
IR_VERSION = 8
"""The oldest ONNX file version that has opset 17, so that old runtimes on devices read the file."""

_NORM_EPSILON = 1e-5
"""What torch's BatchNorm2d adds to the variance by default."""


def onnx_model(state: Weights) -> onnx.ModelProto:
    """The checked ONNX model of a trained state (torch parameter names to arrays), with every shape recorded.

    Input ``image`` and output ``logits`` have a free first dimension called ``batch``.
    """
    weights = folded(state)
    graph = helper.make_graph(
        [_node(layer, source) for layer, source in _with_sources()],
        "mnist",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="partway")
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def folded(state: Weights) -> Weights:
    """Weights and biases by ONNX name (``conv1.weight``), float32, batch normalisation folded into them."""
    weights: Weights = {}
    for layer in LAYERS:
        if isinstance(layer, Conv):
            weights |= _folded_conv(layer.name, state)
        elif isinstance(layer, Dense):
            weights |= {f"{layer.name}.{part}": state[f"{layer.name}.{part}"] for part in ("weight", "bias")}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def _folded_conv(name: str, state: Weights) -> Weights:
    norm = {
        part: state[f"{norm_name(name)}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    }
    scale = norm["weight"] / np.sqrt(norm["running_var"] + _NORM_EPSILON)
    return {
        f"{name}.weight": state[f"{name}.weight"] * scale[:, None, None, None],
        f"{name}.bias": norm["bias"] - norm["running_mean"] * scale,
    }


def _with_sources() -> list[tuple[Layer, str]]:
    """Every layer with the name of the value it reads."""
    return list(zip(LAYERS, [INPUT, *(layer.name for layer in LAYERS)], strict=False))


def _node(layer: Layer, source: str) -> onnx.NodeProto:
    name, outputs = layer.name, [layer.name]
    weighted = [source, f"{name}.weight", f"{name}.bias"]
    match layer:
        case Conv(size=size):
            pads = [size // 2] * 4
            return helper.make_node("Conv", weighted, outputs, name, kernel_shape=[size, size], pads=pads)
        case Relu():
            return helper.make_node("Relu", [source], outputs, name)
        case Pool(size=size, stride=stride):
            window, step = [size, size], [stride, stride]
            return helper.make_node("MaxPool", [source], outputs, name, kernel_shape=window, strides=step)
        case Flatten():
            return helper.make_node("Flatten", [source], outputs, name, axis=1)
        case Dense():
            return helper.make_node("Gemm", weighted, outputs, name, transB=1)
