"""Static Huffman codes that zlib reads: complete, short, and bounded by the plan."""

import tracemalloc
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import CodecError
from partway.proto.codecs.transform.huffman import MAX_BITS, HuffmanCode, code_lengths, table

RNG = np.random.default_rng(0)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=300))
@settings(deadline=None)
def test_word_lengths_make_a_complete_code(counts: list[int]) -> None:
    """Kraft's sum is exactly one, no word is longer than allowed, and more frequent is never longer."""
    lengths = code_lengths(np.array(counts)).astype(int)
    assert sum(2 ** (MAX_BITS - int(bits)) for bits in lengths) == 2**MAX_BITS
    assert lengths.max() <= MAX_BITS
    order = np.argsort(counts, kind="stable")
    assert all(lengths[a] >= lengths[b] or counts[a] == counts[b] for a, b in pairwise(order))


@given(st.lists(st.integers(0, 400), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_prefix_codes_come_back(counts: list[int], seed: int) -> None:
    """Any symbols of any tables, none at all among them."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(1, 257)) for _ in counts]
    code = HuffmanCode(tuple(table(rng.integers(0, 50, size) ** 3) for size in sizes), tuple(counts))
    symbols = np.concatenate([rng.integers(0, size, count) for size, count in zip(sizes, counts, strict=True)])
    parts, stream = code.encode(symbols)
    assert len(parts) == code.used
    assert len(stream) == parts.sum()
    assert np.array_equal(code.decode(parts.tolist(), memoryview(stream)), symbols)


def test_a_deflate_stream_that_is_none_of_ours_is_refused() -> None:
    """The end of the block and one of the sender's own behind it; a copy of earlier bytes; bytes left over."""
    code = HuffmanCode((table(np.array([3, 2, 1])),), (9,))
    sizes, stream = code.encode(np.array([0, 1, 2] * 3))
    whole = memoryview(stream)
    assert code.decode(sizes.tolist(), whole).tolist() == [0, 1, 2] * 3
    end = 0b1111111  # of the canonical code's last word, the end of a block: all ones, however long
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    foreign = bytes([end]) * 2 + stored.compress(b"\7" * 9) + stored.flush()
    for bad in (stream[:-1], stream + b"\0\0", foreign, b"\xff" * 40, b""):
        with pytest.raises(CodecError):
            code.decode([len(bad)], memoryview(bad))
    for lie in ([len(stream) + 1], [len(stream), 0], [], [-1]):
        with pytest.raises(CodecError):
            code.decode(lie, whole)


def test_a_gigabyte_behind_the_symbols_stays_where_it_is() -> None:
    """The block ended at once, then blocks of the sender's own: refused after as many symbols as the plan says."""
    code = HuffmanCode((np.array([1, 2, 2], np.uint8),), (9,))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    own = int.from_bytes(zeros * 64, "little") << 2 | 0b11  # the last word of the table: the end of the block
    bomb = own.to_bytes(len(zeros) * 64 + 1, "little")
    tracemalloc.start()
    with pytest.raises(CodecError, match="does not hold the symbols"):
        code.decode([len(bomb)], memoryview(bomb))
    assert tracemalloc.get_traced_memory()[1] < 2 * len(bomb) + (1 << 18)
    tracemalloc.stop()
    unpacker = zlib.decompressobj(-15)
    assert len(unpacker.decompress(zeros * 64, 1 << 25)) == 1 << 25  # a bomb it is


def test_a_stream_is_as_short_as_its_entropy_allows() -> None:
    """Within two per cent for a skewed alphabet."""
    symbols = np.minimum(RNG.geometric(0.1, 20000) - 1, 99)
    counts = np.bincount(symbols, minlength=100)
    code = HuffmanCode((table(counts),), (symbols.size,))
    share = counts[counts > 0] / symbols.size
    assert len(code.encode(symbols)[1]) < -(share * np.log2(share)).sum() * symbols.size / 8 * 1.02


@pytest.mark.parametrize("lengths", [[1, 1, 1], [2, 2], [0, 1], [16, 1], [1], [9] * 512])
def test_lengths_that_are_no_code_are_refused(lengths: list[int]) -> None:
    """Too many words, too few, none, too long, a single one, more symbols than a byte tells apart."""
    with pytest.raises(CodecError, match="complete prefix code"):
        HuffmanCode((np.array(lengths, np.uint8),), (1,))
