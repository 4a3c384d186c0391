"""Shapes of every value of an ONNX model at two batch sizes and two input sizes: dimensions that differ are open.

The onnx package infers shapes first; for the values it cannot infer, the model runs once on ONNX Runtime. Sizes stay
open only if the model runs at the second one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from partway.errors import InputError
from partway.partitioner.formats.onnx.inputs import (
    Shape,
    batch_symbol,
    input_shape,
    model_inputs,
)
from partway.partitioner.formats.onnx.lazy_file import ModelFile
from partway.partitioner.formats.onnx.open_sizes import wider_shapes
from partway.partitioner.formats.onnx.probe import DoesNotRunError, Probe
from partway.partitioner.plan.model_file.model_format import Sizes, examples_of
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.partitioner")

BATCHES = (1, 2)


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
    probe = Probe(file, names, examples_of(sizes))
    shapes_at = partial(_input_shapes, inputs, batch, sizes)
    try:
        single = probe.shapes(shapes_at(BATCHES[0]))
    except DoesNotRunError as error:
        raise InputError(_not_found(file, inputs, examples_of(sizes), shapes_at(BATCHES[0]), str(error))) from error
    double = single
    if batch is not None:
        try:
            double = probe.shapes(shapes_at(BATCHES[1]))
            follows = _follows_batch(file, single, double)
        except DoesNotRunError:
            log.warning("%s does not run at a batch of %d; it is sliced for batch 1", file.path, BATCHES[1])
            double, batch = single, None
        else:
            if not follows:
                log.warning("%s has a batch of 1 written into it; it is sliced for batch 1", file.path)
                double, batch = single, None
    wider = wider_shapes(probe, inputs, batch_symbol(inputs), shapes_at(BATCHES[0]), single)
    return Shaped(probe.dtypes, single, double, wider, frozenset(probe.observed), batch)


def _input_shapes(inputs: Sequence[Any], batch: str | None, sizes: Sizes, size: int) -> dict[str, Shape]:
    return {value.name: input_shape(value, batch, size, sizes.get(value.name, ())) for value in inputs}


def _follows_batch(file: ModelFile, single: Mapping[str, Shape], double: Mapping[str, Shape]) -> bool:
    """Whether the model works at the larger batch: equal ranks, and no Reshape to a fixed batch of 1."""
    if any(len(shape) != len(double.get(name, shape)) for name, shape in single.items()):
        return False
    reshapes = (node for node in file.proto.graph.node if node.op_type == "Reshape")
    pairs = ((double.get(node.input[0]), double.get(node.output[0])) for node in reshapes)
    return all(math.prod(before) == math.prod(after) for before, after in pairs if before and after)


def _not_found(
    file: ModelFile, inputs: Sequence[Any], examples: Mapping[str, Any], tried: Mapping[str, Shape], reason: str
) -> str:
    opened = [value.name for value in inputs if _is_open(value)] or [value.name for value in inputs]
    options = " ".join(f"--shape {name}={'x'.join(map(str, tried[name])) or '1'}" for name in opened)
    advice = f"give the input shapes that it needs; these were tried: {options}"
    scalars = [value.name for value in inputs if _is_scalar(value) and value.name not in examples]
    if scalars:
        example = " ".join(f"--example {name}=NUMBER" for name in scalars)
        advice = f"give it the numbers that it needs with {example}, or {advice.removeprefix('give ')}"
    return f"{file.path} does not run on random inputs ({reason}); {advice}"


def _is_open(value: Any) -> bool:
    tensor = value.type.tensor_type
    return not tensor.HasField("shape") or any(dim.dim_value < 1 for dim in tensor.shape.dim[1:])


def _is_scalar(value: Any) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and not tensor.shape.dim
