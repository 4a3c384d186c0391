"""Try an ONNX model at input shapes: infer the shapes of its values, or run it on ONNX Runtime to see them."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partway.partitioner.formats.onnx.inputs import NUMERIC, Shape, model_inputs, numpy_name, set_shape
from partway.partitioner.formats.onnx.lazy_file import ModelFile, onnx
from partway.partitioner.formats.onnx.writer import write_model

log = logging.getLogger("partway.partitioner")


class DoesNotRunError(Exception):
    """ONNX Runtime's reason for not running a model."""


class Probe:
    """Finds the shapes of values at given input shapes, and notes their types."""

    def __init__(self, file: ModelFile, names: Sequence[str], examples: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.file, self.names, self.examples = file, names, examples
        self.dtypes: dict[str, str] = {}
        self.observed: set[str] = set()

    def shapes(self, fixed: Mapping[str, Shape], prove: bool = False) -> dict[str, Shape]:
        """The shapes of all values that are tensors; ``prove``: the model runs there. Raises DoesNotRunError."""
        shapes = _infer(self.file, fixed, self.dtypes)
        if small := next((name for name in self.names if min(shapes.get(name, ()), default=0) < 0), None):
            raise DoesNotRunError(f"`{small}` would have the shape {list(shapes[small])}")
        missing = [name for name in self.names if name not in shapes]
        if missing or prove:
            outputs = missing or [value.name for value in self.file.proto.graph.output]
            seen = _run(self.file, fixed, outputs, self.dtypes, self.examples)
            if missing:
                self.observed.update(seen)
            shapes.update(seen)
        return shapes


def _infer(file: ModelFile, fixed: Mapping[str, Shape], dtypes: dict[str, str]) -> dict[str, Shape]:
    plain = onnx.ModelProto()
    plain.CopyFrom(file.proto)
    declared = [*plain.graph.value_info, *plain.graph.output]
    for value in plain.graph.input:
        if value.name in fixed:
            set_shape(value, fixed[value.name])
    for value in plain.graph.output:
        value.type.tensor_type.ClearField("shape")
    before = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in declared]
    del plain.graph.value_info[:]
    try:
        plain = onnx.shape_inference.infer_shapes(plain, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        log.debug("shape inference gave up on %s, the model is run instead: %s", file.path, error)
    shapes: dict[str, Shape] = {}
    for value in (*before, *plain.graph.value_info, *plain.graph.input, *plain.graph.output):
        _note(value, shapes, dtypes)
    for tensor in plain.graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
    return shapes


def _note(value: Any, shapes: dict[str, Shape], dtypes: dict[str, str]) -> None:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return
    if name := numpy_name(tensor.elem_type):
        dtypes[value.name] = name
    if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)


def _run(
    file: ModelFile,
    fixed: Mapping[str, Shape],
    missing: Sequence[str],
    dtypes: dict[str, str],
    examples: Mapping[str, np.ndarray[Any, Any]],
) -> dict[str, Shape]:
    """Run the model on noise and examples; the shapes of the missing values."""
    import onnxruntime

    model = onnx.ModelProto()
    model.CopyFrom(file.proto)
    feeds = {value.name: _noise(fixed[value.name], value, examples.get(value.name)) for value in model_inputs(model)}
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in missing if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_model(model, file.weights, path)
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            results = session.run(list(missing), feeds)
        except Exception as error:  # ONNX Runtime's own exception types are not importable as one
            raise DoesNotRunError(_reason(error)) from error
    tensors = {output.name for output in session.get_outputs() if output.type.startswith("tensor(")}
    arrays = {name: result for name, result in zip(missing, results, strict=True) if name in tensors}
    dtypes.update({name: array.dtype.name for name, array in arrays.items() if array.dtype.name in NUMERIC})
    return {name: array.shape for name, array in arrays.items()}


def _reason(error: Exception) -> str:
    """ONNX Runtime's first line without its own file names."""
    line = str(error).strip().splitlines()[0]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from \S+ failed:)?(\S+\.cc:\d+ .*?\) )?", "", line)


def _noise(shape: Shape, value: Any, example: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    if example is not None:
        return np.array(np.broadcast_to(example, shape), dtype)
    if dtype.kind in "fc":
        return np.random.default_rng(0).random(shape).astype(dtype)
    return np.zeros(shape, dtype)
