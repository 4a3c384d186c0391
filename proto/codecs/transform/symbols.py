"""Turn quantised coefficients into symbols: one symbol for a large coefficient, or one for several small ones.

A prefix code spends at least one bit on a symbol, so what is nearly always zero has to share. Coefficients are sorted
into segments by their expected size in quantiser steps; a segment says how many of them make one symbol, and up to
which magnitude. Of their groups the likeliest are symbols, as many as a byte holds; any other group becomes the escape
symbol, and its values follow as 16-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from partway.errors import CodecError
from partway.proto.codecs.transform.huffman import MAX_SYMBOLS

Array = np.ndarray[Any, Any]
DROPPED = 255
"""Segment number of coefficients that are not sent; the decoder sets them to zero."""
LIMIT = 32767


class Segment(NamedTuple):
    """``above``: standard deviation in steps from which it is meant; ``size`` values of magnitude ``most`` a symbol."""

    above: float
    size: int
    most: int

    @property
    def symbols(self) -> int:
        """Size of the alphabet, the escape symbol included (the last)."""
        return len(patterns(self.size, self.most)) + 1


SEGMENTS = (
    Segment(16.0, 1, 127),
    Segment(8.0, 1, 127),
    Segment(4.0, 1, 63),
    Segment(2.5, 1, 31),
    Segment(1.6, 1, 31),
    Segment(1.1, 2, 9),
    Segment(0.8, 2, 9),
    Segment(0.56, 2, 9),
    Segment(0.4, 3, 5),
    Segment(0.28, 3, 4),
    Segment(0.19, 4, 2),
    Segment(0.12, 5, 2),
    Segment(0.06, 8, 1),
)
"""Half-octave classes of expected size; coefficients below the last are not sent."""


@lru_cache(maxsize=64)
def patterns(size: int, most: int) -> Array:
    """The likeliest groups of ``size`` values of magnitude ``most``, those of least sum, as many as a byte tells apart
    from the escape symbol: int16 [patterns, size]."""
    base = 2 * most + 1
    every = np.arange(base**size)[:, None] // base ** np.arange(size) % base - most
    if size == 1:
        return every.astype(np.int16)
    least = np.argsort(np.abs(every).sum(1), kind="stable")[: MAX_SYMBOLS - 1]
    return every[least].astype(np.int16)


@lru_cache(maxsize=64)
def _numbers(size: int, most: int) -> Array:
    """The symbol of every group, its values read as digits; int16 [groups]."""
    base = 2 * most + 1
    rows = patterns(size, most)
    symbols = np.full(base**size, len(rows), np.int16)
    symbols[((rows + most) * base ** np.arange(size)).sum(1)] = np.arange(len(rows))
    return symbols


def segment_of(deviation: Array) -> Array:
    """The segment (uint8, DROPPED for none) for standard deviations in quantiser steps, same shape."""
    edges = -np.array([segment.above for segment in SEGMENTS])
    number = np.searchsorted(edges, -np.asarray(deviation, np.float64))
    return np.where(number == len(SEGMENTS), DROPPED, number).astype(np.uint8)


@dataclass(frozen=True)
class SymbolCoder:
    """``segments`` uint8 [coefficients]: the segment of each. Symbols come segment by segment."""

    segments: Array

    @cached_property
    def order(self) -> Array:
        """Which coefficient stands at each place of the groups, int64; one past the last where a group is padded."""
        parts = []
        for number, segment in enumerate(SEGMENTS):
            at = np.flatnonzero(self.segments == number)
            parts.append(np.concatenate([at, np.full(-at.size % segment.size, self.segments.size)]))
        return np.concatenate(parts)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Symbols per segment."""
        sizes = np.bincount(self.segments, minlength=len(SEGMENTS))
        return tuple(-(-int(sizes[number]) // segment.size) for number, segment in enumerate(SEGMENTS))

    @cached_property
    def _used(self) -> list[tuple[Segment, int]]:
        """Non-empty segments, and the number of symbols in each."""
        return [(segment, count) for segment, count in zip(SEGMENTS, self.counts, strict=True) if count]

    @cached_property
    def _most(self) -> Array:
        """Per place: largest magnitude, float32."""
        parts = [np.full(count * segment.size, segment.most) for segment, count in self._used]
        return _joined(parts, np.float32)

    @cached_property
    def _escape(self) -> Array:
        """The escape symbol of each symbol's segment, uint8."""
        return _joined([np.full(count, segment.symbols - 1) for segment, count in self._used], np.uint8)

    @cached_property
    def _sizes(self) -> Array:
        """Per symbol: values that it stands for, int64."""
        return _joined([np.full(count, segment.size) for segment, count in self._used], np.int64)

    @cached_property
    def _symbol(self) -> Array:
        """Per place: which symbol it belongs to, int64."""
        return np.repeat(np.arange(self._sizes.size), self._sizes)

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        """Numbers of the groups of all segments, one after the other; per symbol where those of its own begin, and
        what its digits are too small by, int64."""
        tables, offsets, at = [], [], 0
        for segment, count in self._used:
            tables.append(_numbers(segment.size, segment.most))
            weights = (2 * segment.most + 1) ** np.arange(segment.size)
            offsets.append(np.full(count, at + segment.most * weights.sum()))
            at += tables[-1].size
        return _joined(tables, np.int16), _joined(offsets, np.int64)

    @cached_property
    def _digits(self) -> tuple[Array, Array]:
        """Values of all symbols in one int16 table, zeros for escape symbols; per place where the row of its symbol 0
        begins, its own digit counted in."""
        tables, rows, at = [], [], 0
        for segment, count in self._used:
            values = np.append(patterns(segment.size, segment.most), np.zeros((1, segment.size), np.int16), 0)
            tables.append(values.reshape(-1))
            rows.append(np.tile(at + np.arange(segment.size), count))
            at += values.size
        return _joined(tables, np.int16), _joined(rows, np.int64)

    def symbols(self, levels: Array) -> tuple[Array, bytes]:
        """Symbols (int16) and the escaped values of integral float32 levels in ``order``."""
        if not levels.size:
            return np.zeros(0, np.int16), b""
        table, offset = self._tables
        near = np.minimum(np.maximum(levels, -self._most), self._most)
        symbols = table.take(self._summed(near).astype(np.int64) + offset)
        far = np.flatnonzero(near != levels)
        if far.size:
            at = self._symbol.take(far)
            symbols[at] = self._escape[at]
        escaped = np.flatnonzero(symbols == self._escape)
        if not escaped.size:
            return symbols, b""
        return symbols, levels[self._places(escaped)].clip(-LIMIT, LIMIT).astype("<i2").tobytes()

    def _places(self, symbols: Array) -> Array:
        """Where the values of these symbols stand, rising."""
        sizes = self._sizes[symbols]
        begins = self._symbol.searchsorted(symbols)
        return np.repeat(begins - sizes.cumsum() + sizes, sizes) + np.arange(sizes.sum())

    @cached_property
    def _parts(self) -> list[tuple[int, int, int, Array]]:
        """Per used segment: its first place, the one after its last, values a symbol, and what its digits count."""
        parts, at = [], 0
        for segment, count in self._used:
            weights = (2.0 * segment.most + 1) ** np.arange(segment.size)
            parts.append((at, at + segment.size * count, segment.size, weights.astype(np.float32)))
            at += segment.size * count
        return parts

    def _summed(self, levels: Array) -> Array:
        """The values of every symbol as one number, their digits."""
        found = [
            levels[begin:end] if size == 1 else levels[begin:end].reshape(-1, size) @ weights
            for begin, end, size, weights in self._parts
        ]
        return np.concatenate(found)

    def levels(self, symbols: Array, escaped: memoryview) -> Array:
        """Inverse of ``symbols``: int16 levels in ``order``. Raises CodecError when the escaped values do not fit."""
        escapes = np.flatnonzero(symbols == self._escape)
        announced = 2 * int(self._sizes[escapes].sum())
        if len(escaped) != announced:
            raise CodecError(f"a coded tensor brings {len(escaped)} bytes of escaped values, {announced} are announced")
        if not symbols.size:
            return np.zeros(0, np.int16)
        table, row = self._digits
        levels = np.asarray(table.take(row + (symbols * self._sizes).take(self._symbol, mode="clip"), mode="clip"))
        if announced:
            levels[self._places(escapes)] = np.frombuffer(escaped, "<i2")
        return levels


def _joined(parts: list[Array], dtype: Any) -> Array:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)
