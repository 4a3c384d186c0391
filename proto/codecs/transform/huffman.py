"""Static prefix codes: written by whole-array operations, read by zlib.

The tables are known to both sides beforehand, so a frame carries no statistics. A stream is what deflate (RFC 1951)
calls the data of a block with dynamic codes: the decoder puts the header that describes the tables in front, which
never travels, and every Python's zlib reads the rest. Canonical codes (Huffman 1952; lengths limited by package-merge,
Larmore and Hirschberg 1990).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partway.errors import CodecError

Array = np.ndarray[Any, Any]
MAX_BITS = 15
"""Longest code word of deflate."""
MAX_SYMBOLS = 256
"""Literals of deflate, one of them the byte that comes out."""
_ENTRIES = 1 << MAX_BITS


def code_lengths(counts: Array) -> Array:
    """Bits of every symbol's word, uint8 [symbols], 1 to MAX_BITS, for counts of how often each occurs.

    Symbols that never occurred get a word too. Needs 2 to 2**MAX_BITS symbols.
    """
    weights = np.maximum(np.asarray(counts, np.float64), 0.02)
    rows = np.argsort(weights, kind="stable")
    leaves, packages = weights[rows], np.zeros(0)
    levels = []
    for _ in range(MAX_BITS):
        both = np.concatenate([leaves, packages])
        order = np.argsort(both, kind="stable")
        levels.append(order < leaves.size)
        pairs = both[order][: both.size // 2 * 2]
        packages = pairs[0::2] + pairs[1::2]
    lengths, taken = np.zeros(leaves.size, np.uint8), 2 * leaves.size - 2
    for level in reversed(levels):  # what is taken of a level is two of the one below for every package
        alone = int(np.count_nonzero(level[:taken]))
        lengths[rows[:alone]] += 1
        taken = 2 * (taken - alone)
    return lengths


def table(counts: Array) -> Array:
    """``code_lengths`` of the symbols 0, 1, … and, last, of deflate's end of a block, which is never sent."""
    return code_lengths(np.append(counts, 0))


@dataclass(frozen=True)
class HuffmanCode:
    """One table per segment: ``lengths[s]`` holds the word lengths of the symbols of segment s, and one more: see
    ``table``. ``counts[s]`` tells how many symbols of each segment a stream holds, segment by segment; each begins at a
    byte of its own. Decoding takes no more memory than a few kilobytes a segment and a byte per symbol.

    Raises CodecError where lengths are no complete prefix code.
    """

    lengths: tuple[Array, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        for lengths in self.lengths:
            ok = lengths.ndim == 1 and 2 <= lengths.size <= MAX_SYMBOLS + 1
            ok = ok and lengths.min() >= 1 and lengths.max() <= MAX_BITS
            if not ok or int((_ENTRIES >> lengths.astype(np.int64)).sum()) != _ENTRIES:
                raise CodecError("a table of word lengths is no complete prefix code")
        if len(self.counts) != len(self.lengths) or min(self.counts, default=0) < 0:
            raise CodecError("a prefix code needs one count of symbols per table")

    @property
    def symbols(self) -> int:
        """Symbols in a stream, all segments together."""
        return sum(self.counts)

    @property
    def used(self) -> int:
        """Segments that hold any symbols."""
        return sum(count > 0 for count in self.counts)

    @cached_property
    def _first_word(self) -> Array:
        """Where each symbol's table begins among all words, int64 [symbols of a stream]."""
        starts = np.cumsum([0, *(lengths.size for lengths in self.lengths)])[:-1]
        return np.repeat(starts, self.counts)

    @cached_property
    def _pairs(self) -> tuple[Array, Array, Array, Array]:
        """Symbols by twos, none of two segments: the first of each pair and the second (one past the last symbol where
        there is none), which of the segments in use it is in, and the pair after each segment's last; int64."""
        counts = np.array([count for count in self.counts if count])
        pairs = (counts + 1) // 2
        part = np.repeat(np.arange(counts.size), pairs)
        begins, ends = counts.cumsum() - counts, counts.cumsum()
        first = begins[part] + 2 * (np.arange(part.size) - (pairs.cumsum() - pairs)[part])
        second = np.where(first + 1 < ends[part], first + 1, self.symbols)
        return first, second, part, pairs.cumsum()

    @cached_property
    def _words(self) -> Array:
        """Code words of all segments, one after the other, first bit lowest, and below them four bits of length."""
        words = np.concatenate([_canonical(lengths) for lengths in self.lengths])
        return np.asarray(words << 4 | np.concatenate(self.lengths))

    @cached_property
    def _limits(self) -> Array:
        """The largest symbol that may come at each place of a stream, uint8."""
        return np.repeat([lengths.size - 2 for lengths in self.lengths], self.counts).astype(np.uint8)

    @cached_property
    def _readers(self) -> list[tuple[Any, int]]:
        """Per used segment: a decompressor that has read the table's header, never used but copied; its symbols."""
        found = []
        for lengths, count in zip(self.lengths, self.counts, strict=True):
            if count:
                reader = zlib.decompressobj(-zlib.MAX_WBITS)
                reader.decompress(_header(lengths))
                found.append((reader, count))
        return found

    def encode(self, symbols: Array) -> tuple[Array, bytes]:
        """Bytes of each segment in use (int64) and the stream, for int [symbols] in segment order."""
        if not self.symbols:
            return np.zeros(0, np.int64), b""
        first, second, part, after = self._pairs
        words = np.append(self._words.take(self._first_word + symbols), 0)
        one, two = words.take(first), words.take(second)
        bits = one & 15
        one = (one >> 4) | (two >> 4) << bits
        bits += two & 15
        ends = bits.cumsum()
        marks = ends.take(after - 1)
        marks[1:] -= marks[:-1].copy()
        sizes = (marks + 7) >> 3
        gaps = sizes * 8 - marks
        begins = ends - bits + (gaps.cumsum() - gaps).take(part)
        shifted = one << (begins & 31)  # two words are 30 bits at most
        unit = begins >> 5
        units = int(begins[-1] >> 5) + 2
        here = np.bincount(unit, shifted & 0xFFFFFFFF, units)  # sums of different bits are exact in a double
        here[1:] += np.bincount(unit, shifted >> 32, units)[:-1]
        return sizes, here.astype("<u4").tobytes()[: int(sizes.sum())]

    def decode(self, sizes: Sequence[int], stream: memoryview) -> Array:
        """The symbols, uint8 [symbols], of a stream with so many bytes per used segment. Raises CodecError when not."""
        readers = self._readers
        if len(sizes) != len(readers) or sum(sizes) != len(stream) or min(sizes, default=0) < 0:
            raise CodecError(f"a coded stream of {len(stream)} bytes does not match the sizes it announces")
        parts, at, unread = [], 0, 0
        try:
            for (reader, count), size in zip(readers, sizes, strict=True):
                once = reader.copy()
                parts.append(once.decompress(stream[at : at + size], count))
                at += size
                unread += len(once.unconsumed_tail)
        except zlib.error as error:
            raise CodecError(f"a coded stream holds invalid code words ({error})") from None
        symbols = np.frombuffer(b"".join(parts), np.uint8)
        complete = [len(part) for part in parts] == [count for _, count in readers]
        if not complete or unread or (symbols > self._limits).any():
            raise CodecError("a coded stream does not hold the symbols it should")
        return symbols


def _canonical(lengths: Array) -> Array:
    """Code words as deflate numbers them, first bit lowest, int64 [symbols]."""
    row = np.argsort(lengths, kind="stable")
    spans = _ENTRIES >> lengths[row].astype(np.int64)
    words = np.empty(lengths.size, np.int64)
    words[row] = np.cumsum(spans) - spans
    flipped = np.zeros_like(words)
    for bit in range(MAX_BITS):
        flipped |= (words >> bit & 1) << (MAX_BITS - 1 - bit)
    return flipped


def _header(lengths: Array) -> bytes:
    """A deflate block's header for literals of these lengths (the last that of the block's end), whole bytes."""
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    fields = [(2, 10)] * 3  # empty blocks of fixed codes, ten bits each: the lengths below are then whole bytes
    fields += [(1, 1), (2, 2), (0, 5), (0, 5), (15, 4)]  # the last block, dynamic; 257 literals, 1 distance, 19 lengths
    fields += [(0 if one > 15 else 4, 3) for one in order]  # 0 to 15 as themselves, in four bits
    every = np.zeros(MAX_SYMBOLS + 2, np.int64)  # literals, the end, the one distance that there is not
    every[: lengths.size - 1], every[MAX_SYMBOLS] = lengths[:-1], lengths[-1]
    fields += [(int(f"{one:04b}"[::-1], 2), 4) for one in every]
    packed, at = 0, 0
    for value, bits in fields:
        packed |= value << at
        at += bits
    assert at % 8 == 0
    return packed.to_bytes(at // 8, "little")
