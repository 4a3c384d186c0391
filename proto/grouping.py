"""How quantised coefficients become symbols: few large ones alone, many small ones several to a symbol.

A prefix code spends at least one bit on a symbol, so what is nearly always zero has to share. Coefficients are sorted
into segments by their expected size in quantiser steps; a segment says how many of them make one symbol, and up to
which magnitude. A group with a larger one becomes the escape symbol, and its values follow as 16-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from partway.proto.errors import CodecError

Array = np.ndarray[Any, Any]
DROPPED = 255
"""Segment number of coefficients that are not sent: zero on the other side."""
LIMIT = 32767


class Segment(NamedTuple):
    """``above``: standard deviation in steps from which it is meant; ``size`` values of magnitude ``most`` a symbol."""

    above: float
    size: int
    most: int

    @property
    def symbols(self) -> int:
        """Size of the alphabet, the escape symbol included (the last)."""
        return int((2 * self.most + 1) ** self.size) + 1


SEGMENTS = (
    Segment(16.0, 1, 511),
    Segment(8.0, 1, 127),
    Segment(4.0, 1, 63),
    Segment(2.5, 1, 31),
    Segment(1.6, 2, 12),
    Segment(1.1, 2, 9),
    Segment(0.8, 2, 7),
    Segment(0.56, 3, 4),
    Segment(0.4, 3, 4),
    Segment(0.28, 4, 2),
    Segment(0.19, 5, 1),
    Segment(0.06, 6, 1),
)
"""Half-octave classes of expected size; below the last nothing is sent."""


def segment_of(deviation: Array) -> Array:
    """The segment (uint8, DROPPED for none) for standard deviations in quantiser steps, same shape."""
    edges = -np.array([segment.above for segment in SEGMENTS])
    number = np.searchsorted(edges, -np.asarray(deviation, np.float64))
    return np.where(number == len(SEGMENTS), DROPPED, number).astype(np.uint8)


@dataclass(frozen=True)
class Grouping:
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
    def _each(self) -> tuple[Array, Array, Array, Array, Array]:
        """Per place: largest magnitude, weight in its symbol. Per symbol: first place, offset, escape symbol."""
        most, weight, size, offset, escape = [], [], [], [], []
        for segment, count in zip(SEGMENTS, self.counts, strict=True):
            base = 2 * segment.most + 1
            weights = base ** np.arange(segment.size)
            most.append(np.full(count * segment.size, segment.most))
            weight.append(np.tile(weights, count))
            size.append(np.full(count, segment.size))
            offset.append(np.full(count, segment.most * weights.sum()))
            escape.append(np.full(count, segment.symbols - 1))
        sizes = np.concatenate(size)
        first = np.cumsum(sizes) - sizes
        return (
            np.concatenate(most).astype(np.float32),
            np.concatenate(weight).astype(np.float32),
            first.astype(np.int64),
            np.concatenate(offset).astype(np.int32),
            np.concatenate(escape).astype(np.int32),
        )

    @cached_property
    def _digits(self) -> tuple[Array, Array, Array, Array]:
        """All values of all symbols in one int16 table; per symbol its row and row length; per place symbol, digit."""
        tables, rows, widths, at = [], [], [], 0
        for segment, count in zip(SEGMENTS, self.counts, strict=True):
            base = 2 * segment.most + 1
            symbols = np.arange(segment.symbols)[:, None] // base ** np.arange(segment.size) % base - segment.most
            symbols[-1] = 0
            tables.append(symbols.reshape(-1))
            rows.append(np.full(count, at))
            widths.append(np.full(count, segment.size))
            at += symbols.size
        width = np.concatenate(widths)
        place = np.repeat(np.arange(width.size), width)
        digit = np.arange(place.size) - np.repeat(np.cumsum(width) - width, width)
        table = np.concatenate(tables).astype(np.int16)
        row = np.concatenate(rows).take(place) + digit if place.size else place
        return table, row, width, place

    def symbols(self, levels: Array) -> tuple[Array, bytes]:
        """Symbols (int32) and the escaped values of integral float32 levels in ``order``."""
        most, weight, first, offset, escape = self._each
        if not first.size:
            return np.zeros(0, np.int32), b""
        large = np.abs(levels) > most
        symbols = self._summed(levels * weight).astype(np.int32) + offset
        if not large.any():
            return symbols, b""
        escaped = np.logical_or.reduceat(large, first)
        symbols[escaped] = escape[escaped]
        at = np.flatnonzero(np.repeat(escaped, np.diff(first, append=levels.size)))
        return symbols, levels[at].clip(-LIMIT, LIMIT).astype("<i2").tobytes()

    def _summed(self, levels: Array) -> Array:
        """Sums over the places of every symbol: ``np.add.reduceat``, three times as fast."""
        alone = sum(count for segment, count in zip(SEGMENTS, self.counts, strict=True) if segment.size == 1)
        parts, at = [levels[:alone]], alone
        for segment, count in zip(SEGMENTS, self.counts, strict=True):
            if segment.size > 1 and count:
                end = at + segment.size * count
                parts.append(levels[at:end].reshape(count, segment.size) @ np.ones(segment.size, np.float32))
                at = end
        return np.concatenate(parts)

    def levels(self, symbols: Array, escaped: memoryview) -> Array:
        """Inverse of ``symbols``: int16 levels in ``order``. Raises CodecError when the escaped values do not fit."""
        table, row, width, place = self._digits
        escapes = symbols == self._each[4]
        many = bool(escapes.any())
        wanted = 2 * int(width[escapes].sum()) if many else 0
        if len(escaped) != wanted:
            raise CodecError(f"a coded tensor brings {len(escaped)} bytes of escaped values, {wanted} are announced")
        levels = (
            np.asarray(table.take(row + (symbols * width).take(place, mode="clip"), mode="clip"))
            if place.size
            else np.zeros(0, np.int16)
        )
        if many:
            levels[escapes.take(place)] = np.frombuffer(escaped, "<i2")
        return levels
