"""The inputs of an ONNX model: the batch dimension, and the sizes of the other dynamic dimensions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.onnx.lazy_file import onnx

Shape = tuple[int, ...]

BATCH_NAMES = frozenset({"N", "n", "bs", "B", "b"})
SIZE_NAMES = re.compile("seq|time|frame|length|len$|token|step|height|width|sample|^[tlhw]$|^num_")
"""Names of an open first dimension that counts something within one frame."""
STATE_RANK = 3
"""Layers and directions, batch, features, as ONNX's LSTM has them."""
IMAGE_SIDE, SEQUENCE = 224, 128
NUMERIC = frozenset({
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "complex64", "complex128",
})  # fmt: skip


def model_inputs(proto: Any) -> list[Any]:
    """The inputs a user feeds: graph inputs that are not initialisers as well."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    constants |= {sparse.values.name for sparse in proto.graph.sparse_initializer}
    return [value for value in proto.graph.input if value.name not in constants]


def batch_symbol(inputs: Sequence[Any]) -> str | None:
    """The name of the dynamic batch dimension: one named like a batch, else a dynamic first dimension."""
    symbols = [dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim if dim.dim_param]
    named = [symbol for symbol in symbols if "batch" in symbol.lower() or symbol in BATCH_NAMES]
    if named:
        return str(named[0])
    firsts = [dims[0] for value in inputs if (dims := value.type.tensor_type.shape.dim)]
    opened = [dim for dim in firsts if not dim.HasField("dim_value") or dim.dim_value < 1]
    if not opened or SIZE_NAMES.search(opened[0].dim_param.lower()):
        return None
    return opened[0].dim_param or "batch"


def input_shape(value: Any, batch: str | None, size: int, declared: Sequence[int | None]) -> Shape:
    """The shape of one model input at a batch size; dynamic dimensions are as declared or of a usual size."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or numpy_name(tensor.elem_type) is None:
        raise InputError(f"the input `{value.name}` is not a tensor of numbers; Partway splits models of those only")
    if not tensor.HasField("shape"):
        if not declared:
            example = f"--shape {value.name}=1x3x224x224"
            raise InputError(f"the input `{value.name}` declares no shape; give it one: {example}")
        return tuple(want or size for want in declared)
    dims = list(tensor.shape.dim)
    if declared and len(declared) != len(dims):
        raise InputError(f"the input `{value.name}` has {len(dims)} dimensions, {len(declared)} were given")
    batches = [is_batch(dims, axis, batch) for axis in range(len(dims))]
    return tuple(
        size if batches[axis] else _dimension(value.name, axis, dim, len(dims), declared[axis] if declared else None)
        for axis, dim in enumerate(dims)
    )


def is_batch(dims: Sequence[Any], axis: int, batch: str | None) -> bool:
    """Whether a declared dimension is the batch: by its name, or by its place where it has no name.

    Without a name an open first dimension is the batch, and the middle one of ``[2, ?, 128]``, a recurrent state.
    """
    dim = dims[axis]
    if batch is None or _is_fixed(dim):
        return False
    return bool(dim.dim_param == batch) if dim.dim_param else axis == 0 or (axis == 1 and _is_state(dims))


def _is_fixed(dim: Any) -> bool:
    return bool(dim.HasField("dim_value") and dim.dim_value > 0)


def _is_state(dims: Sequence[Any]) -> bool:
    return len(dims) == STATE_RANK and _is_fixed(dims[0]) and dims[0].dim_value > 1 and _is_fixed(dims[2])


def _dimension(name: str, axis: int, dim: Any, rank: int, declared: int | None) -> int:
    if dim.HasField("dim_value") and dim.dim_value > 0:
        if declared not in (None, dim.dim_value, -1):
            raise InputError(f"dimension {axis} of `{name}` is {dim.dim_value} in the model, not {declared}")
        return int(dim.dim_value)
    if declared is not None and declared > 0:
        return declared
    if axis == 0:
        return 1
    if rank >= 4:
        return 3 if axis == 1 else IMAGE_SIDE
    return SEQUENCE


def numpy_name(elem_type: int) -> str | None:
    """The numpy dtype name of an ONNX element type, ``None`` for one that cannot be sent (string, 4 bit, bfloat16)."""
    try:
        name = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type)).name
    except (KeyError, ValueError, TypeError):
        return None
    return name if name in NUMERIC else None


def set_shape(value: Any, shape: Iterable[int | str]) -> None:
    """Give a value a shape; a string names a dynamic dimension."""
    dims = value.type.tensor_type.shape
    dims.Clear()
    value.type.tensor_type.shape.SetInParent()
    for size in shape:
        if isinstance(size, str):
            dims.dim.add().dim_param = size
        else:
            dims.dim.add().dim_value = size
