"""Which sizes of an ONNX model's inputs stay open: those at which the model runs when they are larger."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from partway.partitioner.formats.onnx.inputs import Shape, is_batch
from partway.partitioner.formats.onnx.probe import DoesNotRunError, Probe

log = logging.getLogger("partway.partitioner")

STEP = 64
"""Larger inputs are larger by multiples of this, which strides of up to 64 divide."""
MOST_SIZES = 4
"""More open sizes than this are not tried one by one."""
MOST_CHANNELS = 4
"""An open size up to this, where pictures have their channels, is that."""
PICTURE_RANK = 4


def wider_shapes(
    probe: Probe, inputs: Sequence[Any], batch: str | None, fixed: Mapping[str, Shape], single: Mapping[str, Shape]
) -> Mapping[str, Shape]:
    """The shapes at larger inputs, those at the usual size where no size is open or the model does not run there.

    Sizes that the model does not let grow together are tried one by one: a text reader has a height and any width.
    """
    axes = [
        (value.name, axis)
        for value in inputs
        if value.name not in probe.examples
        for axis in _open_axes(value, batch, fixed[value.name])
    ]
    wider = _grown(probe, fixed, single, axes)
    if wider is None and 1 < len(axes) <= MOST_SIZES:
        axes = [axis for axis in axes if _grown(probe, fixed, single, [axis]) is not None]
        wider = _grown(probe, fixed, single, axes)
    return single if wider is None else wider


def _grown(
    probe: Probe, fixed: Mapping[str, Shape], single: Mapping[str, Shape], axes: Sequence[tuple[str, int]]
) -> Mapping[str, Shape] | None:
    """The shapes with these sizes larger, no two alike; None if there are none or the model does not run there."""
    if not axes:
        return None
    larger = dict(fixed)
    for number, (name, at) in enumerate(axes, 1):
        larger[name] = tuple(size + STEP * number * (axis == at) for axis, size in enumerate(larger[name]))
    try:
        wider = probe.shapes(larger, prove=True)
    except DoesNotRunError as error:
        log.debug("%s does not run at %s: %s", probe.file.path, larger, error)
        return None
    alike = all(len(shape) == len(wider.get(name, shape)) for name, shape in single.items())
    return {**single, **wider} if alike else None


def _open_axes(value: Any, batch: str | None, fixed: Shape) -> list[int]:
    """The dimensions of an input that have no size in the file and count neither frames nor channels."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return []
    return [
        axis
        for axis, (dim, size) in enumerate(zip(tensor.shape.dim, fixed, strict=True))
        if not (dim.HasField("dim_value") and dim.dim_value > 0)
        and not is_batch(dim, axis, batch)
        and not (len(fixed) == PICTURE_RANK and axis in (1, 3) and size <= MOST_CHANNELS)
    ]
