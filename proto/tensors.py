"""What a tensor is called, how large it is and what it is made of; no data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    """A tensor's value name, numpy dtype name and shape; ``None`` marks an open dimension, a frame count or a size.

    ``usual`` is given where a size is open: the shape of a usual frame, ``None`` where it counts frames (the batch).
    Without it every open dimension is the batch. ``quantization`` says what integers mean, for a tensor of a
    quantised model.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    quantization: Quantization | None = None
    usual: tuple[int | None, ...] | None = None

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return np.dtype(self.dtype).itemsize

    @property
    def batch_first(self) -> bool:
        """Whether the first dimension counts frames, so that frames may be joined along it."""
        return bool(self.shape) and self.shape[0] is None and (self.usual is None or self.usual[0] is None)

    def frame_shape(self, frames: int = 1) -> tuple[int, ...]:
        """The shape of some frames of the usual size."""
        return tuple(frames if size is None else size for size in self.usual or self.shape)

    def elements(self, frames: int = 1) -> int:
        """Number of elements of some frames of the usual size."""
        return math.prod(self.frame_shape(frames))

    def size_bytes(self, frames: int = 1) -> int:
        """Uncoded size in bytes of some frames of the usual size."""
        return self.elements(frames) * self.itemsize

    @property
    def most_elements(self) -> int:
        """The largest number of elements that one message may bring: those of MAX_BATCH frames of the usual size."""
        if self.usual is None:
            return self.elements(MAX_BATCH)
        return max(self.elements(), 1) * MAX_BATCH

    def accepts(self, shape: tuple[int, ...], dtype: str) -> bool:
        """Whether an array of this shape and dtype may stand here."""
        return (
            dtype == self.dtype
            and len(shape) == len(self.shape)
            and all(want is None or want == got for want, got in zip(self.shape, shape, strict=True))
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        plain: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.quantization is not None:
            plain["quantization"] = self.quantization.to_json()
        if self.usual is not None:
            plain["usual"] = list(self.usual)
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Inverse of :meth:`to_json`; raises :class:`InputError` on anything else."""
        try:
            shape = _shape_from_json(data["shape"])
            usual = None if data.get("usual") is None else _shape_from_json(data["usual"])
            if usual is not None and not _fits(usual, shape):
                raise ValueError(f"usual shape {data['usual']} of {data['shape']}")
            dtype = np.dtype(str(data["dtype"])).name
            if dtype not in OIP_NAME:
                raise ValueError(f"dtype {dtype}")
            meaning = data.get("quantization")
            quantization = None if meaning is None else Quantization.from_json(meaning)
            return cls(str(data["name"]), dtype, shape, quantization, usual)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SyntaxError) as error:
            raise InputError(f"not a tensor description: {error}; write the plan again with `partway plan`") from error


def _shape_from_json(sizes: Sequence[Any]) -> tuple[int | None, ...]:
    shape = tuple(None if size is None else int(size) for size in sizes)
    if any(size is not None and size < 0 for size in shape):
        raise ValueError(f"shape {sizes}")
    return shape


def _fits(usual: Sequence[int | None], shape: Sequence[int | None]) -> bool:
    return len(usual) == len(shape) and all(want in (None, one) for one, want in zip(usual, shape, strict=True))


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
