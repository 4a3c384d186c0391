"""Shapes of every value of an ONNX model at two batch sizes and two input sizes: dimensions that differ are open.

The onnx package infers shapes first; for the values it cannot infer, the model runs once on ONNX Runtime. Sizes stay
open only if the model runs at the second one.
"""

from __future__ import annotations

import logging
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.onnx.inputs import (
    NUMERIC,
    Shape,
    batch_symbol,
    input_shape,
    is_batch,
    model_inputs,
    numpy_name,
    set_shape,
)
from partway.partitioner.formats.onnx.lazy_file import ModelFile, onnx
from partway.partitioner.formats.onnx.writer import write_model
from partway.partitioner.plan.model_format import Sizes, examples_of
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.partitioner")

BATCHES = (1, 2)
STEP = 64
"""Larger inputs are larger by multiples of this, which strides of up to 64 divide."""
MOST_CHANNELS = 4
"""An open size up to this is a number of channels, or one that the model counts frames in."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """Each value's numpy dtype name and its shapes at batch 1 and batch 2 (equal for a fixed batch).

    ``wider`` has the shapes at batch 1 and larger inputs (those of ``single`` if no size is open). ``observed`` holds
    the values whose shape comes from a run, not from inference; ``batch`` is the name of the dynamic batch dimension,
    or ``None`` for a model of fixed size.
    """

    dtypes: Mapping[str, str]
    single: Mapping[str, Shape]
    double: Mapping[str, Shape]
    wider: Mapping[str, Shape]
    observed: frozenset[str]
    batch: str | None

    def spec(self, name: str, loose: bool) -> TensorSpec:
        """The description of a value; ``loose``: its sizes depend on the data."""
        one, two, wide = self.single[name], self.double[name], self.wider[name]
        sizes = list(zip(one, two, wide, strict=True))
        shape = tuple(None if loose or a != b or a != c else a for a, b, c in sizes)
        frames = [not loose and (a, b) == BATCHES and a == c for a, b, c in sizes]
        usual = tuple(None if is_batch else a for is_batch, a in zip(frames, one, strict=True))
        only_batch = all(is_batch or size is not None for is_batch, size in zip(frames, shape, strict=True))
        return TensorSpec(name, self.dtypes[name], shape, usual=None if only_batch else usual)


def find_shapes(file: ModelFile, sizes: Sizes, names: Sequence[str]) -> Shaped:
    """Shapes of the values ``names`` that are tensors.

    Raises :class:`InputError` when neither inference nor a run finds them.
    """
    inputs = model_inputs(file.proto)
    batch = batch_symbol(inputs)
    probe = _Probe(file, names, examples_of(sizes))
    shapes_at = partial(_input_shapes, inputs, batch, sizes)
    try:
        single = probe.shapes(shapes_at(BATCHES[0]))
    except _DoesNotRunError as error:
        raise InputError(_not_found(file, inputs, examples_of(sizes), str(error))) from error
    double = single
    if batch is not None:
        try:
            double = probe.shapes(shapes_at(BATCHES[1]))
            follows = _follows_batch(file, single, double)
        except _DoesNotRunError:
            log.warning("%s does not run at a batch of %d; it is sliced for batch 1", file.path, BATCHES[1])
            double, batch = single, None
        else:
            if not follows:
                log.warning("%s has a batch of 1 written into it; it is sliced for batch 1", file.path)
                double, batch = single, None
    wider = _wider_shapes(probe, inputs, batch_symbol(inputs), shapes_at(BATCHES[0]), single)
    return Shaped(probe.dtypes, single, double, wider, frozenset(probe.observed), batch)


def _input_shapes(inputs: Sequence[Any], batch: str | None, sizes: Sizes, size: int) -> dict[str, Shape]:
    return {value.name: input_shape(value, batch, size, sizes.get(value.name, ())) for value in inputs}


def _wider_shapes(
    probe: _Probe, inputs: Sequence[Any], batch: str | None, fixed: Mapping[str, Shape], single: Mapping[str, Shape]
) -> Mapping[str, Shape]:
    """The shapes at larger inputs, those at the usual size where no size is open or the model does not run there."""
    larger = {
        value.name: _larger(value, batch, fixed[value.name]) for value in inputs if value.name not in probe.examples
    }
    larger = {**fixed, **larger}
    if larger == dict(fixed):
        return single
    try:
        wider = probe.shapes(larger, prove=True)
    except _DoesNotRunError as error:
        log.debug("%s runs at one size only: %s", probe.file.path, error)
        return single
    alike = all(len(shape) == len(wider.get(name, shape)) for name, shape in single.items())
    return {**single, **wider} if alike else single


def _larger(value: Any, batch: str | None, fixed: Shape) -> Shape:
    """The shape of an input with every open size larger, no two alike; channels stay."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return fixed
    found = []
    for axis, (dim, size) in enumerate(zip(tensor.shape.dim, fixed, strict=True)):
        is_open = not (dim.HasField("dim_value") and dim.dim_value > 0) and not is_batch(dim, axis, batch)
        found.append(size + STEP * (axis + 1) if is_open and size > MOST_CHANNELS else size)
    return tuple(found)


def _follows_batch(file: ModelFile, single: Mapping[str, Shape], double: Mapping[str, Shape]) -> bool:
    """Whether the model works at the larger batch: equal ranks, and no Reshape to a fixed batch of 1."""
    if any(len(shape) != len(double.get(name, shape)) for name, shape in single.items()):
        return False
    reshapes = (node for node in file.proto.graph.node if node.op_type == "Reshape")
    pairs = ((double.get(node.input[0]), double.get(node.output[0])) for node in reshapes)
    return all(math.prod(before) == math.prod(after) for before, after in pairs if before and after)


class _Probe:
    """Finds the shapes of values at given input shapes, and notes their types."""

    def __init__(self, file: ModelFile, names: Sequence[str], examples: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.file, self.names, self.examples = file, names, examples
        self.dtypes: dict[str, str] = {}
        self.observed: set[str] = set()

    def shapes(self, fixed: Mapping[str, Shape], prove: bool = False) -> dict[str, Shape]:
        """The shapes of all values that are tensors; ``prove``: the model runs there. Raises _DoesNotRunError."""
        shapes = _infer(self.file, fixed, self.dtypes)
        if small := next((name for name in self.names if min(shapes.get(name, ()), default=0) < 0), None):
            raise _DoesNotRunError(f"`{small}` would have the shape {list(shapes[small])}")
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
            raise _DoesNotRunError(_reason(error)) from error
    arrays = {name: result for name, result in zip(missing, results, strict=True) if isinstance(result, np.ndarray)}
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


def _not_found(file: ModelFile, inputs: Sequence[Any], examples: Mapping[str, Any], reason: str) -> str:
    advice = "give the input shapes with --shape NAME=1x3x224x224"
    scalars = [value.name for value in inputs if _is_scalar(value) and value.name not in examples]
    if scalars:
        example = " ".join(f"--example {name}=NUMBER" for name in scalars)
        advice = f"give it the numbers that it needs with {example}, or {advice.removeprefix('give ')}"
    return f"{file.path} does not run on random inputs of these sizes ({reason}); {advice}"


def _is_scalar(value: Any) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and not tensor.shape.dim


class _DoesNotRunError(Exception):
    """ONNX Runtime's reason for not running a model."""
