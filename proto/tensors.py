"""What a tensor is called, how large it is and what it is made of; no data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.proto.datatypes import OIP_NAME

MAX_BATCH = 64
"""Samples one frame may hold."""

Values = Mapping[str, "np.ndarray[Any, Any]"]
"""Named tensors: what goes into a stage and what comes out."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """What the integers of a tensor stand for: ``real = scale * (integer - zero_point)``.

    One scale and zero point for the whole tensor, or one each along ``axis``. Source: TensorFlow Lite's
    8-bit quantization specification.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {"scales": list(self.scales), "zero_points": list(self.zero_points), "axis": self.axis}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Quantization:
        """Inverse of :meth:`to_json`; raises KeyError, TypeError or ValueError on anything else."""
        scales = tuple(float(scale) for scale in data["scales"])
        zeros = tuple(int(zero) for zero in data["zero_points"])
        if not scales or len(zeros) != len(scales) or not all(map(math.isfinite, scales)):
            raise ValueError(f"quantization {data!r:.80}")
        return cls(scales, zeros, int(data["axis"]))


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor's value name, numpy dtype name and shape; ``None`` marks a dynamic dimension (usually the batch).

    ``quantization`` says what integers mean, for a tensor of a quantised model.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    quantization: Quantization | None = None

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return np.dtype(self.dtype).itemsize

    def elements(self, dynamic: int = 1) -> int:
        """Number of elements, every dynamic dimension taken as ``dynamic``."""
        return math.prod(dynamic if size is None else size for size in self.shape)

    def size_bytes(self, dynamic: int = 1) -> int:
        """Uncoded size in bytes, every dynamic dimension taken as ``dynamic``."""
        return self.elements(dynamic) * self.itemsize

    def accepts(self, shape: tuple[int, ...], dtype: str) -> bool:
        """Whether an array of this shape and dtype may stand here."""
        return (
            dtype == self.dtype
            and len(shape) == len(self.shape)
            and all(want is None or want == got for want, got in zip(self.shape, shape, strict=True))
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        plain = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        return plain if self.quantization is None else {**plain, "quantization": self.quantization.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Inverse of :meth:`to_json`; raises :class:`InputError` on anything else."""
        try:
            shape = tuple(None if size is None else int(size) for size in data["shape"])
            dtype = np.dtype(str(data["dtype"])).name
            if dtype not in OIP_NAME or any(size is not None and size < 0 for size in shape):
                raise ValueError(f"dtype {dtype}, shape {data['shape']}")
            meaning = data.get("quantization")
            quantization = None if meaning is None else Quantization.from_json(meaning)
            return cls(str(data["name"]), dtype, shape, quantization)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SyntaxError) as error:
            raise InputError(f"not a tensor description: {error}; write the plan again with `partway plan`") from error


def as_type_of(spec: TensorSpec, array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """The array in the tensor's own type. Floats may lose precision.

    Raises InputError for what is no number, for fractions where the type has none, and for a number outside the type,
    which numpy would wrap round or turn into infinity. ``name`` is the input's, for the sentence.
    """
    if not np.can_cast(array.dtype, np.float64, "same_kind"):
        raise InputError(f"{name}: {spec.name} must be numbers, not {array.dtype}")
    if array.size and not np.can_cast(array.dtype, spec.dtype) and (span := _span(spec.dtype)) is not None:
        floats = np.dtype(spec.dtype).kind == "f"
        some = array[np.isfinite(array)] if floats else array  # infinity and NaN exist among floats
        ends = [end.item() for end in (some.min(), some.max())] if some.size else []
        wrong = [end for end in ends if not span[0] <= end <= span[1]]
        if wrong:
            raise InputError(
                f"{name}: {spec.name} is {spec.dtype}, {span[0]:g} to {span[1]:g}; {wrong[0]:g} is outside"
            )
    if array.dtype.kind == "f" and np.dtype(spec.dtype).kind in "iu" and (cut := array[array != np.trunc(array)]).size:
        hint = ""
        if (meaning := spec.quantization) is not None and len(meaning.scales) == 1:
            hint = f", or real numbers as x / {meaning.scales[0]:g} + {meaning.zero_points[0]}, rounded"
        raise InputError(f"{name}: {spec.name} is {spec.dtype}, and {cut[0]:g} is a fraction; give whole numbers{hint}")
    return array.astype(spec.dtype, copy=False)


def _span(dtype: str) -> tuple[float, float] | None:
    """The least and the largest number of a type; None for bool, which takes any."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) if kind in "iu" else None
