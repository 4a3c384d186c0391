"""Transform coding of activations: as image codecs code pixels, with a basis learned from the model's activations.

Channels are decorrelated by a basis from calibration (Karhunen-Loeve), each component's map by a two-dimensional
cosine transform (Ahmed, Natarajan and Rao 1974); one quantiser, whose step widens where errors do not change the
answer; entropy coding by static tables per expected size. Everything but the coefficients is in the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partway.errors import CodecError, WireError
from partway.proto.codecs.transform.dct_klt import Basis
from partway.proto.codecs.transform.huffman import HuffmanCode
from partway.proto.codecs.transform.symbols import DROPPED, SymbolCoder
from partway.proto.protowire import read_varint, varint
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
MAX_COUNT = (1 << 28) - 1


@dataclass(frozen=True)
class Transform:
    """One quality of transform coding for one tensor.

    ``steps`` float32 [components, bands]: quantiser steps. ``segments`` uint8 [components, bands]: see SymbolCoder.
    ``lengths``: word lengths, one table per segment. ``low`` and ``high`` bound what comes out. Every coefficient that
    is sent is off by at most half its step; the rest come out as zero.
    """

    name: str
    dtype: str
    basis: Basis
    steps: Array
    segments: Array
    lengths: tuple[Array, ...]
    low: float
    high: float
    lossless: bool = False

    @cached_property
    def symbol_coder(self) -> SymbolCoder:
        """Coefficients [positions, components], flat, in segments."""
        return SymbolCoder(self.basis.by_coefficient(self.segments))

    @cached_property
    def code(self) -> HuffmanCode:
        """The static tables."""
        return HuffmanCode(self.lengths, self.symbol_coder.counts)

    @cached_property
    def _scales(self) -> tuple[Array, Array, Array]:
        """Steps (infinite where padded, so that 0 is sent there) and their inverses, float32, in the grouping's order;
        and where each coefficient stands in it, one past the end where it is not sent."""
        flat = np.append(self.basis.by_coefficient(self.steps), np.inf).astype(np.float32)
        places = self.symbol_coder.order
        steps = flat.take(places)
        where = np.full(flat.size, places.size)
        where[places] = np.arange(places.size)
        return steps, 1 / steps, where[:-1]

    @cached_property
    def _scales_back(self) -> Array:
        """Steps for decoding: 0 where a group is padded, because 0 times infinity is not a number."""
        return np.where(np.isfinite(self._scales[0]), self._scales[0], np.float32(0))

    @cached_property
    def _all_sent(self) -> bool:
        return bool((self.segments != DROPPED).all())

    def packs(self, spec: TensorSpec) -> bool:
        """The tensor it was fitted to."""
        return spec.dtype == self.dtype and spec.shape[1:] == self.basis.shape

    def fits(self, array: Array) -> bool:
        """Its dtype and shape, all of it finite."""
        fits = array.dtype.name == self.dtype and array.shape[1:] == self.basis.shape and array.size > 0
        return fits and (array.dtype.kind != "f" or bool(np.isfinite(array).all()))

    def encode(self, array: Array) -> bytes:
        """Bytes of [batch, *shape], one sample after the other."""
        return b"".join(self._encode_sample(sample) for sample in array)

    def levels(self, sample: Array) -> Array:
        """Quantised coefficients, float32 in the grouping's order, of one sample."""
        flat = self.basis.forward(sample.astype(np.float32)).reshape(-1)
        scaled = flat.take(self.symbol_coder.order, mode="clip")  # where padded: the last one, of scale 0
        scaled *= self._scales[1]
        return np.rint(scaled, out=scaled)

    def _encode_sample(self, sample: Array) -> bytes:
        symbols, escaped = self.symbol_coder.symbols(self.levels(sample))
        sizes, stream = self.code.encode(symbols)
        counts = (*sizes.tolist(), len(escaped) // 2)
        return b"".join((*map(varint, counts), stream, escaped))

    def decode(self, body: memoryview, dtype: str, shape: tuple[int, ...]) -> Array:
        """Inverse of encode. Raises CodecError when the bytes do not hold exactly ``shape``."""
        if dtype != self.dtype or shape[1:] != self.basis.shape:
            raise CodecError(
                f"codec {self.name} packs {self.dtype} {list(self.basis.shape)}, not {dtype} {list(shape)}"
            )
        decoded = np.empty(shape, self.dtype)
        at = 0
        for number in range(shape[0]):
            decoded[number], at = self._decode_sample(body, at)
        if at != len(body):
            raise CodecError(f"a tensor coded by {self.name} has {len(body) - at} bytes too many")
        return decoded

    def _decode_sample(self, body: memoryview, at: int) -> tuple[Array, int]:
        (*sizes, escapes), at = read_counts(body, at, self.code.used + 1)
        middle = at + sum(sizes)
        end = middle + 2 * escapes
        if end > len(body):
            raise CodecError(f"a tensor coded by {self.name} ends before its stream does")
        symbols = self.code.decode(sizes, body[at:middle])
        levels = self.symbol_coder.levels(symbols, body[middle:end])
        _, _, where = self._scales
        scaled = levels * self._scales_back
        scaled = scaled if self._all_sent else np.append(scaled, np.float32(0))
        values = self.basis.inverse(scaled.take(where, mode="clip"))
        np.clip(values, self.low, self.high, out=values)
        return values if np.dtype(self.dtype).kind == "f" else np.rint(values), end


def read_counts(body: memoryview, at: int, count: int) -> tuple[list[int], int]:
    """``count`` varints from ``at`` on, and where they end. CodecError when one is cut short or above MAX_COUNT."""
    counts = []
    for _ in range(count):
        try:
            number, at = read_varint(body, at)
        except WireError as error:
            raise CodecError(f"the counts of a coded tensor do not parse ({error})") from None
        if number > MAX_COUNT:
            raise CodecError("a count in a coded tensor is too large")
        counts.append(number)
    return counts, at
