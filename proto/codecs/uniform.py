"""Codecs that need nothing from calibration: lossless, and even steps, each followed by Zstandard.

What is alike lies together before it is compressed: the channels of a tensor one after the other, the bytes of its
numbers by significance.
"""

from __future__ import annotations

import math
import struct
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard

from partway.errors import CodecError
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
LEVEL = 1
"""Higher levels gained under 3 % on activations and took 3 to 20 times as long."""
_RANGE = struct.Struct("<dd")
_local = threading.local()


def compressed(data: bytes) -> bytes:
    """Zstandard frame that says how much it holds."""
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
    return bytes(_local.compressor.compress(data))


def decompressed(body: memoryview, size: int) -> bytes:
    """Exactly ``size`` bytes out of a Zstandard frame. Raises CodecError before any more are made."""
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        if zstandard.frame_content_size(body) != size:
            raise CodecError(f"a compressed tensor must announce {size} bytes")
        data = bytes(_local.decompressor.decompress(body, max_output_size=size, allow_extra_data=False))
    except zstandard.ZstdError as error:
        raise CodecError(f"a compressed tensor does not decompress ({error})") from None
    if len(data) != size:
        raise CodecError(f"a compressed tensor holds {len(data)} bytes where {size} are announced")
    return data


def channel_axis(shape: tuple[int, ...]) -> int:
    """Which axis counts channels, as far as a shape tells: the last of [batch, height, width, channels], else 1."""
    return len(shape) - 1 if len(shape) == 4 and shape[3] > shape[1] else min(1, len(shape) - 1)


def _by_channel(array: Array) -> Array:
    return np.moveaxis(array, channel_axis(array.shape), 0) if array.ndim > 1 else array


def _from_channels(values: Array, shape: tuple[int, ...]) -> Array:
    if len(shape) < 2:
        return values.reshape(shape)
    axis = channel_axis(shape)
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(values.reshape(moved), 0, axis))


@dataclass(frozen=True, slots=True)
class Zstd:
    """The very same bits, fewer of them."""

    name: str = "zstd"
    lossless: bool = True

    def packs(self, spec: TensorSpec) -> bool:
        """Every tensor."""
        return spec.size_bytes() > 0

    def fits(self, array: Array) -> bool:
        """Every array with anything in it."""
        return array.size > 0

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        rows = np.ascontiguousarray(_by_channel(array)).astype(array.dtype.newbyteorder("<"), copy=False)
        size = array.dtype.itemsize
        return compressed(rows.reshape(-1).view(np.uint8).reshape(-1, size).T.tobytes())

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        little = np.dtype(dtype).newbyteorder("<")
        planes = np.frombuffer(decompressed(body, math.prod(shape) * little.itemsize), np.uint8)
        if np.dtype(dtype).kind == "b" and planes.max(initial=0) > 1:
            raise CodecError("a BOOL tensor has a byte that is neither 0 nor 1")
        values = np.ascontiguousarray(planes.reshape(little.itemsize, -1).T).reshape(-1).view(little)
        return _from_channels(values.astype(dtype, copy=False), shape)


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
        """Nothing but finite numbers, none next to the largest there is."""
        if array.dtype.kind != "f" or not array.size:
            return False
        largest = max(-float(array.min()), float(array.max()))
        return largest <= 0.49 * float(np.finfo(array.dtype).max) and math.isfinite(float(array.sum(dtype=np.float64)))

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        low, high = float(array.min()), float(array.max())
        step = (high - low) / (2**self.bits - 1)
        wide = array.astype(np.float64) if array.dtype.itemsize == 8 or step < 1e-30 else array.astype(np.float32)
        scaled = (wide - wide.dtype.type(low)) * wide.dtype.type(1 / step) if step > 1e-300 else np.zeros_like(wide)
        symbols = np.rint(scaled).clip(0, 2**self.bits - 1).astype(np.uint8)
        return _RANGE.pack(low, step) + compressed(np.ascontiguousarray(_by_channel(symbols)).tobytes())

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
        symbols = np.frombuffer(decompressed(body[_RANGE.size :], math.prod(shape)), np.uint8)
        return _from_channels(table.take(symbols), shape)


@dataclass(frozen=True, slots=True)
class ChannelLevels:
    """Floats in 2**bits even steps between the smallest and the largest of each channel of a frame: one channel far out
    costs the others nothing. Off by at most half a step of its channel, and what float32 loses; 8 bytes a channel.

    Which axis counts channels no shape tells for sure: the second or the last, whichever has the narrower ranges, and a
    byte says which.
    """

    bits: int
    lossless: bool = False

    @property
    def name(self) -> str:
        """``c5``, for example."""
        return f"c{self.bits}"

    def packs(self, spec: TensorSpec) -> bool:
        """Floats of at least 16 values a channel, or the ranges would outweigh them."""
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
        """Integers of eight bits: what quantised models hand on."""
        return spec.dtype in ("int8", "uint8") and spec.size_bytes() > 0

    def fits(self, array: Array) -> bool:
        """Every array of theirs."""
        return array.dtype.name in ("int8", "uint8") and array.size > 0

    def encode(self, array: Array) -> bytes:
        """See Codec."""
        table = np.rint(np.arange(256) / self.step).astype(np.uint8)
        symbols = table.take(array.astype(np.int16) - np.iinfo(array.dtype).min)
        return compressed(np.ascontiguousarray(_by_channel(symbols)).tobytes())

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """See Codec."""
        if dtype not in ("int8", "uint8"):
            raise CodecError(f"codec {self.name} packs integers of eight bits, not {dtype}")
        limits = np.iinfo(dtype)
        table = np.minimum(np.arange(256) * self.step + limits.min, limits.max).astype(dtype)
        symbols = np.frombuffer(decompressed(body, math.prod(shape)), np.uint8)
        return _from_channels(table.take(symbols), shape)
