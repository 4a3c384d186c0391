"""Static prefix codes, many tables in one bit stream, coded and decoded by whole-array operations.

The tables are known to both sides beforehand, so a frame carries no statistics. Decoding looks up, for *every* bit
position at once, how long a code word beginning there would be; following the chain of lengths from the first bit is
then a short walk, eight words at a stride. Canonical codes (Huffman 1952; lengths limited by package-merge, Larmore and
Hirschberg 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partway.proto.errors import CodecError

Array = np.ndarray[Any, Any]
MAX_BITS = 12
"""Longest code word; a table for decoding has 2**MAX_BITS entries."""
_ENTRIES = 1 << MAX_BITS
_STRIDE = 4
"""Doublings of the chain of word lengths: the walk takes 2**_STRIDE words a step."""


def code_lengths(counts: Array) -> Array:
    """Bits of every symbol's word, uint8 [symbols], 1 to MAX_BITS, for counts of how often each occurs.

    A symbol that never occurred gets a word all the same. Needs 2 to 2**MAX_BITS symbols.
    """
    weights = np.maximum(np.asarray(counts, np.float64), 0.02)
    leaves: list[tuple[float, tuple[int, ...]]] = [
        (float(weights[n]), (int(n),)) for n in np.argsort(weights, kind="stable")
    ]
    level = list(leaves)
    for _ in range(MAX_BITS - 1):
        paired = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(level[0::2], level[1::2], strict=False)]
        level = sorted([*leaves, *paired], key=lambda package: package[0])
    lengths = np.zeros(len(weights), np.uint8)
    for _, symbols in level[: 2 * len(weights) - 2]:
        np.add.at(lengths, list(symbols), 1)
    return lengths


@dataclass(frozen=True)
class PrefixCode:
    """One table per segment: ``lengths[s]`` holds the word lengths of segment s. ``counts[s]`` tells how many symbols
    of each segment a stream holds, segment by segment. Decoding takes about 200 bytes of memory per byte of a stream.

    Raises CodecError where lengths are no complete prefix code.
    """

    lengths: tuple[Array, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        for lengths in self.lengths:
            ok = lengths.ndim == 1 and lengths.size >= 2 and lengths.min() >= 1 and lengths.max() <= MAX_BITS
            if not ok or int((_ENTRIES >> lengths.astype(np.int64)).sum()) != _ENTRIES:
                raise CodecError("a table of word lengths is no complete prefix code")
        if len(self.counts) != len(self.lengths) or min(self.counts, default=0) < 0:
            raise CodecError("a prefix code needs one count of symbols per table")

    @property
    def symbols(self) -> int:
        """Symbols in a stream, all segments together."""
        return sum(self.counts)

    @cached_property
    def _first_symbol(self) -> Array:
        """Where each segment's symbols begin in the tables for encoding, int64 [symbols of a stream]."""
        starts = np.cumsum([0, *(lengths.size for lengths in self.lengths)])[:-1]
        return np.repeat(starts, self.counts)

    @cached_property
    def _ends(self) -> Array:
        """The symbol after each segment's last, int64 [segments]."""
        return np.cumsum(self.counts)

    @cached_property
    def _words(self) -> Array:
        """Code words of all segments, one after the other, and in the low four bits their lengths; int64."""
        words = np.concatenate([_canonical(lengths) for lengths in self.lengths])
        return np.asarray(words << 4 | np.concatenate(self.lengths))

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        """For decoding: word length (uint8) and symbol (uint16) of every MAX_BITS-bit window, per segment."""
        rows = [np.argsort(lengths, kind="stable") for lengths in self.lengths]
        spans = [_ENTRIES >> lengths[row].astype(np.int64) for lengths, row in zip(self.lengths, rows, strict=True)]
        symbols = np.concatenate([np.repeat(row, span) for row, span in zip(rows, spans, strict=True)])
        bits = [np.repeat(lengths[row], s) for lengths, row, s in zip(self.lengths, rows, spans, strict=True)]
        return np.concatenate(bits).astype(np.uint8), symbols.astype(np.uint16)

    def encode(self, symbols: Array) -> tuple[Array, bytes]:
        """Bits per segment (int64 [segments]) and the stream, for int [symbols] in segment order."""
        words = self._words.take(self._first_symbol + symbols)
        bits = words & 15
        ends = bits.cumsum()
        begins = ends - bits
        shifted = (words >> 4) << (
            62 - (begins & 31) - bits
        )  # bit 61 is the first of a 32-bit unit, bit 29 of the next
        unit = begins >> 5
        total = int(ends[-1]) if ends.size else 0
        here = np.bincount(unit, shifted >> 30, (total >> 5) + 2)  # sums of different bits are exact in a double
        here[1:] += np.bincount(unit, (shifted & 0x3FFFFFFF) << 2, (total >> 5) + 1)
        stream = here.astype(">u4").tobytes()[: (total + 7) >> 3]
        marks = np.concatenate([[0], ends]).take(self._ends)
        marks[1:] -= marks[:-1].copy()
        return marks, stream

    def decode(self, bits: Sequence[int], stream: memoryview) -> Array:
        """The symbols, int [symbols], of a stream with so many bits per segment. Raises CodecError when not."""
        total = sum(bits)
        fits = total <= self.symbols * MAX_BITS and (total + 7) >> 3 == len(stream)
        if len(bits) != len(self.counts) or min(bits, default=0) < 0 or not fits:
            raise CodecError(f"a coded stream of {len(stream)} bytes does not hold the {total} bits it announces")
        if not self.symbols:
            return np.zeros(0, np.uint16)
        lengths, table = self._tables
        windows = _windows(stream, total)
        at = 0
        for number, size in enumerate(bits):
            windows[at : at + size] += number * _ENTRIES
            at += size
        begins = _chain(lengths.take(windows, mode="clip"), self.symbols)
        ends = self._ends
        after = np.append(begins, total).take(ends) if begins.size == self.symbols else ends
        if begins.size != self.symbols or not np.array_equal(after, np.cumsum(bits)):
            raise CodecError("a coded stream does not hold the symbols it should")
        return table.take(windows.take(begins))


def _canonical(lengths: Array) -> Array:
    row = np.argsort(lengths, kind="stable")
    spans = _ENTRIES >> lengths[row].astype(np.int64)
    words = np.empty(lengths.size, np.int64)
    words[row] = (np.cumsum(spans) - spans) >> (MAX_BITS - lengths[row].astype(np.int64))
    return words


def _windows(stream: memoryview, total: int) -> Array:
    """The MAX_BITS bits beginning at every bit position, int64 [total]: numpy takes by that without converting."""
    data = np.zeros(len(stream) + 2, np.int64)
    data[:-2] = np.frombuffer(stream, np.uint8)
    three = (data[:-2] << 16) | (data[1:-1] << 8) | data[2:]
    made = three[:, None] >> np.arange(24 - MAX_BITS, 16 - MAX_BITS, -1)
    made &= _ENTRIES - 1
    return made.reshape(-1)[:total]


_known_positions = np.arange(1 << 14)


def _positions(total: int) -> Array:
    """0 to total, kept from one frame to the next while they are not many."""
    global _known_positions  # noqa: PLW0603 - replaced as a whole: threads see the old or the new
    if total > _known_positions.size:
        made = np.arange(total)
        if total > 1 << 20:
            return made
        _known_positions = made
    return _known_positions[:total]


def _chain(lengths: Array, count: int) -> Array:
    """Bit positions at which ``count`` words begin, following their lengths; fewer where the stream ends first."""
    total = lengths.size
    following = np.empty(total + MAX_BITS, np.int64)
    following[total:] = total  # whatever runs over the end stays there
    np.add(_positions(total), lengths, out=following[:total])
    jumps = [following]
    for _ in range(_STRIDE):
        jumps.append(jumps[-1].take(jumps[-1], mode="clip"))  # the mode that skips checks; all are in range
    hops, at = jumps.pop().data, 0
    strides = -(-count >> _STRIDE)
    steps = np.empty((strides, 1 << _STRIDE), np.int64)
    steps[:, 0] = [0, *[at := hops[at] for _ in range(strides - 1)]]
    apart = 1 << _STRIDE
    while jumps:  # from every word that is known to the one half as far on
        steps[:, apart >> 1 :: apart] = jumps.pop().take(steps[:, ::apart], mode="clip")
        apart >>= 1
    begins = steps.reshape(-1)[:count]
    return begins if begins[-1] < total else begins[begins < total]
