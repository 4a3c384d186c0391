"""Uniform quantisation: even steps over a range or between integers, each followed by Zstandard.

Nothing comes from calibration. The symbols of a channel lie together before they are compressed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from partway.errors import CodecError
from partway.proto.codecs.channels import axis_mark, by_channel, channel_axis, from_channels, read_axis
from partway.proto.codecs.interface import Array, CodecFamily
from partway.proto.codecs.zstd import compressed, decompressed
from partway.proto.tensors import TensorSpec

_RANGE = struct.Struct("<dd")
LEAST_STEP = 1e-300
"""Smaller steps have no finite inverse, or lose digits as subnormal numbers."""


def _compressed_by_channel(array: Array, symbols: Array) -> bytes:
    """The symbols of an array, channel after channel, with the mark of its axis."""
    axis = channel_axis(array)
    return axis_mark(axis, array.shape) + compressed(np.ascontiguousarray(by_channel(symbols, axis)).tobytes())


def _decompressed_by_channel(body: memoryview, shape: tuple[int, ...]) -> tuple[Array, int]:
    """The flat symbols, uint8, and the axis of their channels."""
    axis, body = read_axis(body, shape)
    return np.frombuffer(decompressed(body, math.prod(shape)), np.uint8), axis


@dataclass(frozen=True, slots=True)
class Levels:
    """Floats in 2**bits even steps between the smallest and the largest of a frame; off by at most half a step."""

    bits: int
    lossless: bool = False

    @property
    def name(self) -> str:
        """``q5``, for example."""
        return f"q{self.bits}"

    def packs(self, spec: TensorSpec) -> bool:
        """Floats."""
        return spec.dtype in ("float16", "float32", "float64") and spec.size_bytes() > 0

    def fits(self, array: Array) -> bool:
        """Finite floats below half the dtype's maximum; equal, or far enough apart for steps of normal size."""
        if array.dtype.kind != "f" or not array.size:
            return False
        low, high = float(array.min()), float(array.max())
        if not max(-low, high) <= 0.49 * float(np.finfo(array.dtype).max):
            return False
        divisible = low == high or high - low > LEAST_STEP * (2**self.bits - 1)
        return divisible and math.isfinite(float(array.sum(dtype=np.float64)))

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        low, high = float(array.min()), float(array.max())
        step = (high - low) / (2**self.bits - 1)
        wide = array.astype(np.float64) if array.dtype.itemsize == 8 or step < 1e-30 else array.astype(np.float32)
        scaled = (wide - wide.dtype.type(low)) * wide.dtype.type(1 / step) if step > LEAST_STEP else np.zeros_like(wide)
        symbols = np.rint(scaled).clip(0, 2**self.bits - 1).astype(np.uint8)
        return _RANGE.pack(low, step) + _compressed_by_channel(array, symbols)

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        if np.dtype(dtype).kind != "f":
            raise CodecError(f"codec {self.name} packs floating point tensors, not {dtype}")
        if len(body) < _RANGE.size:
            raise CodecError(f"a tensor coded by {self.name} ends within its range")
        low, step = _RANGE.unpack(body[: _RANGE.size])
        limit = float(np.finfo(dtype).max)
        high = low + step * (2**self.bits - 1)
        if not (math.isfinite(high) and step >= 0 and -limit <= low and high <= limit * (1 + 1e-6)):
            raise CodecError(f"the range of a tensor coded by {self.name} is no range of {dtype}")
        table = np.minimum(low + step * np.arange(256, dtype=np.float64), limit).astype(dtype)
        symbols, axis = _decompressed_by_channel(body[_RANGE.size :], shape)
        return from_channels(table.take(symbols), shape, axis)


@dataclass(frozen=True, slots=True)
class ChannelLevels:
    """Floats in 2**bits even steps between each channel's own smallest and largest value in a frame.

    An outlying channel does not widen the steps of others. The error is at most half a step of the channel plus float32
    rounding. The ranges take 8 bytes a channel.

    The channel axis is the second or the last, whichever has the narrower ranges; a byte names it.
    """

    bits: int
    lossless: bool = False

    @property
    def name(self) -> str:
        """``c5``, for example."""
        return f"c{self.bits}"

    def packs(self, spec: TensorSpec) -> bool:
        """Floats with at least 16 values per channel; with fewer, the ranges would take more bytes than the values."""
        shape = tuple(size or 1 for size in spec.shape)
        channels = max(shape[1], shape[-1]) if len(shape) > 1 else 1
        return spec.dtype in ("float16", "float32") and 1 < channels <= spec.elements() // 16

    def fits(self, array: Array) -> bool:
        """See Levels; more than one dimension."""
        return array.ndim > 1 and Levels(self.bits).fits(array)

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        values = array.astype(np.float32, copy=False)
        ranges = {axis: _ranges(values, axis) for axis in sorted({1, array.ndim - 1})}
        axis = min(ranges, key=lambda one: float(np.mean(ranges[one][1] - ranges[one][0])))
        rows = np.moveaxis(values, axis, 0).reshape(array.shape[axis], -1)
        low, high = ranges[axis]
        step = (high - low) / np.float32(2**self.bits - 1)
        step[step < np.finfo(np.float32).tiny] = 0
        scale = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
        symbols = np.rint((rows - low) * scale).clip(0, 2**self.bits - 1).astype(np.uint8)
        return bytes([axis]) + np.concatenate([low, step]).astype("<f4").tobytes() + compressed(symbols.tobytes())

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        if np.dtype(dtype).kind != "f" or len(shape) < 2:
            raise CodecError(f"codec {self.name} packs floating point tensors of channels, not {dtype} {list(shape)}")
        axis = body[0] if len(body) else 0
        if axis not in (1, len(shape) - 1):
            raise CodecError(f"a tensor coded by {self.name} has its channels on axis 1 or the last, not {axis}")
        channels, body = shape[axis], body[1:]
        if len(body) < 8 * channels:
            raise CodecError(f"a tensor coded by {self.name} ends within its ranges")
        low, step = np.frombuffer(body[: 8 * channels], "<f4").reshape(2, channels, 1).astype(np.float64)
        limit = float(np.finfo(dtype).max)
        high = low + step * (2**self.bits - 1)
        if not ((step >= 0).all() and (low >= -limit).all() and (high <= limit * (1 + 1e-6)).all()):
            raise CodecError(f"a range of a tensor coded by {self.name} is no range of {dtype}")
        symbols = np.frombuffer(decompressed(body[8 * channels :], math.prod(shape)), np.uint8)
        if symbols.max(initial=0) >= 2**self.bits:
            raise CodecError(f"a tensor coded by {self.name} has symbols of more than {self.bits} bits")
        values = low.astype(np.float32) + step.astype(np.float32) * symbols.reshape(channels, -1)
        moved = values.clip(-limit, limit).astype(dtype).reshape(channels, *shape[:axis], *shape[axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(moved, 0, axis))


def _ranges(values: Array, axis: int) -> tuple[Array, Array]:
    """Smallest and largest of each channel, both [channels, 1]."""
    others = tuple(number for number in range(values.ndim) if number != axis)
    return values.min(others).reshape(-1, 1), values.max(others).reshape(-1, 1)


@dataclass(frozen=True, slots=True)
class Step:
    """Small integers to the nearest multiple of ``step``; off by at most half of it."""

    step: int
    lossless: bool = False

    @property
    def name(self) -> str:
        """``s4``, for example."""
        return f"s{self.step}"

    def packs(self, spec: TensorSpec) -> bool:
        """8-bit integers, the activations of quantised models."""
        return spec.dtype in ("int8", "uint8") and spec.size_bytes() > 0

    def fits(self, array: Array) -> bool:
        """Every array of 8-bit integers."""
        return array.dtype.name in ("int8", "uint8") and array.size > 0

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        table = np.rint(np.arange(256) / self.step).astype(np.uint8)
        symbols = table.take(array.astype(np.int16) - np.iinfo(array.dtype).min)
        return _compressed_by_channel(array, symbols)

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        if dtype not in ("int8", "uint8"):
            raise CodecError(f"codec {self.name} packs integers of eight bits, not {dtype}")
        limits = np.iinfo(dtype)
        table = np.minimum(np.arange(256) * self.step + limits.min, limits.max).astype(dtype)
        symbols, axis = _decompressed_by_channel(body, shape)
        return from_channels(table.take(symbols), shape, axis)


LEVELS = CodecFamily(
    "qBITS",
    "q[34568]",
    "floats in even steps over the frame's own range",
    lambda name: Levels(int(name[1:])),
    ("q8", "q6", "q5", "q4", "q3"),
    rank=2,
)
CHANNEL_LEVELS = CodecFamily(
    "cBITS",
    "c[4568]",
    "floats in even steps over each channel's own range",
    lambda name: ChannelLevels(int(name[1:])),
    ("c8", "c6", "c5", "c4"),
    rank=3,
)
STEPS = CodecFamily(
    "sSTEP",
    "s(2|4|8|16)",
    "8-bit integers to the nearest multiple",
    lambda name: Step(int(name[1:])),
    ("s2", "s4", "s8", "s16"),
    rank=4,
)
