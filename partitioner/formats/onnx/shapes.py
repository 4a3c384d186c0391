"""Shapes of every value of an ONNX model at two batch sizes: dimensions that differ are dynamic.

The onnx package infers shapes first; for the values it cannot infer, the model runs once on ONNX Runtime.
"""

from __future__ import annotations

import logging
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.onnx.inputs import (
    NUMERIC,
    Shape,
    batch_symbol,
    input_shape,
    model_inputs,
    numpy_name,
    set_shape,
)
from partway.partitioner.formats.onnx.lazy_file import ModelFile, onnx
from partway.partitioner.formats.onnx.writer import write_model
from partway.partitioner.plan.model_format import Sizes

log = logging.getLogger("partway.partitioner")

BATCHES = (1, 2)


@dataclass(frozen=True, slots=True)
class Shaped:
    """Each value's numpy dtype name and its shapes at batch 1 and batch 2 (equal for a fixed batch).

    ``observed`` holds the values whose shape comes from a run, not from inference; ``batch`` is the name of the dynamic
    batch dimension, or ``None`` for a model of fixed size.
    """

    dtypes: Mapping[str, str]
    single: Mapping[str, Shape]
    double: Mapping[str, Shape]
    observed: frozenset[str]
    batch: str | None

    def shape(self, name: str) -> tuple[int | None, ...]:
        """The shape of a value, ``None`` for each dimension that follows the batch."""
        return tuple(one if one == two else None for one, two in zip(self.single[name], self.double[name], strict=True))


def find_shapes(file: ModelFile, sizes: Sizes, names: Sequence[str]) -> Shaped:
    """Shapes of the values ``names`` that are tensors.

    Raises :class:`InputError` when neither inference nor a run finds them.
    """
    inputs = model_inputs(file.proto)
    batch = batch_symbol(inputs)
    dtypes: dict[str, str] = {}
    found: list[dict[str, Shape]] = []
    observed: set[str] = set()
    for size in BATCHES if batch is not None else BATCHES[:1]:
        fixed = {value.name: input_shape(value, batch, size, sizes.get(value.name, ())) for value in inputs}
        shapes = _infer(file, fixed, dtypes)
        missing = [name for name in names if name not in shapes]
        if missing:
            try:
                seen = _run(file, fixed, missing, dtypes)
            except _DoesNotRunError as error:
                if not found:
                    raise InputError(_not_found(file, missing[0], str(error))) from error
                log.warning("%s does not run at a batch of %d; it is sliced for batch 1", file.path, size)
                batch = None
                break
            observed.update(seen)
            shapes.update(seen)
        found.append(shapes)
    single, double = found[0], found[-1]
    if batch is not None and not _follows_batch(file, single, double):
        log.warning("%s has a batch of 1 written into it; it is sliced for batch 1", file.path)
        batch = None
    return Shaped(dtypes, single, single if batch is None else double, frozenset(observed), batch)


def _follows_batch(file: ModelFile, single: Mapping[str, Shape], double: Mapping[str, Shape]) -> bool:
    """Whether the model works at the larger batch: equal ranks, and no Reshape to a fixed batch of 1."""
    if any(len(shape) != len(double.get(name, shape)) for name, shape in single.items()):
        return False
    reshapes = (node for node in file.proto.graph.node if node.op_type == "Reshape")
    pairs = ((double.get(node.input[0]), double.get(node.output[0])) for node in reshapes)
    return all(math.prod(before) == math.prod(after) for before, after in pairs if before and after)


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
    file: ModelFile, fixed: Mapping[str, Shape], missing: Sequence[str], dtypes: dict[str, str]
) -> dict[str, Shape]:
    """Run the model on noise; the shapes of the missing values."""
    import onnxruntime

    model = onnx.ModelProto()
    model.CopyFrom(file.proto)
    feeds = {value.name: _noise(fixed[value.name], value) for value in model_inputs(model)}
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
            raise _DoesNotRunError(_reason(error)) from error
    arrays = {name: result for name, result in zip(missing, results, strict=True) if isinstance(result, np.ndarray)}
    dtypes.update({name: array.dtype.name for name, array in arrays.items() if array.dtype.name in NUMERIC})
    return {name: array.shape for name, array in arrays.items()}


def _reason(error: Exception) -> str:
    """ONNX Runtime's first line without its own file names."""
    line = str(error).strip().splitlines()[0]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from \S+ failed:)?(\S+\.cc:\d+ .*?\) )?", "", line)


def _noise(shape: Shape, value: Any) -> np.ndarray[Any, Any]:
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    if dtype.kind in "fc":
        return np.random.default_rng(0).random(shape).astype(dtype)
    return np.zeros(shape, dtype)


def _not_found(file: ModelFile, name: str, reason: str) -> str:
    return (
        f"the shape of `{name}` in {file.path} cannot be found, and running the model to see it failed "
        f"({reason}); give the input shapes with --shape NAME=1x3x224x224"
    )


class _DoesNotRunError(Exception):
    """ONNX Runtime's reason for not running a model."""
