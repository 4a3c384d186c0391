"""Transform coding: what is sent comes back within half a step, and nothing that lies is believed."""

import tracemalloc
import zlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import CodecError, InputError
from partway.partitioner.calibrate.fit_transform import fit
from partway.partitioner.calibrate.sensitivity import groups_of
from partway.proto.codecs.registry import pack, unpack
from partway.proto.codecs.transform.codebook import codebook, to_json
from partway.proto.codecs.transform.codec import Transform, read_counts
from partway.proto.codecs.transform.dct_klt import Basis, bands
from partway.proto.codecs.transform.huffman import MAX_BITS, PrefixCode, code_lengths, table
from partway.proto.codecs.transform.symbols import SEGMENTS, Grouping
from partway.proto.tensors import TensorSpec
from partway.proto.protowire import varint

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def smooth(shape: tuple[int, ...], count: int = 40) -> Array:
    """Samples with few strong directions, as activations have."""
    values = RNG.standard_normal((count, *shape)).cumsum(1).cumsum(2 if len(shape) > 1 else 1)
    return np.asarray((values / values.std() * 20).astype(np.float32))


FLOATS = smooth((6, 9, 5))
CODECS = {
    "NCHW": fit(FLOATS, "NCHW").transform("t30", 0.3),
    "NHWC": fit(smooth((6, 9, 5)).clip(-128, 127).astype(np.int8), "NHWC").transform("t30", 0.3),
    "tokens": fit(smooth((7, 12)), "NCHW").transform("t20", 0.2),
    "vector": fit(smooth((300,)), "NHWC").transform("t50", 0.5),
}


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
    code = PrefixCode(tuple(table(rng.integers(0, 50, size) ** 3) for size in sizes), tuple(counts))
    symbols = np.concatenate([rng.integers(0, size, count) for size, count in zip(sizes, counts, strict=True)])
    parts, stream = code.encode(symbols)
    assert len(parts) == code.used
    assert len(stream) == parts.sum()
    assert np.array_equal(code.decode(parts.tolist(), memoryview(stream)), symbols)


def test_a_deflate_stream_that_is_none_of_ours_is_refused() -> None:
    """The end of the block and one of the sender's own behind it; a copy of earlier bytes; bytes left over."""
    code = PrefixCode((table(np.array([3, 2, 1])),), (9,))
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
    code = PrefixCode((np.array([1, 2, 2], np.uint8),), (9,))
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
    code = PrefixCode((table(counts),), (symbols.size,))
    share = counts[counts > 0] / symbols.size
    assert len(code.encode(symbols)[1]) < -(share * np.log2(share)).sum() * symbols.size / 8 * 1.02


@pytest.mark.parametrize("lengths", [[1, 1, 1], [2, 2], [0, 1], [16, 1], [1], [9] * 512])
def test_lengths_that_are_no_code_are_refused(lengths: list[int]) -> None:
    """Too many words, too few, none, too long, a single one, more symbols than a byte tells apart."""
    with pytest.raises(CodecError, match="complete prefix code"):
        PrefixCode((np.array(lengths, np.uint8),), (1,))


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 40))
@settings(deadline=None)
def test_levels_come_back_from_their_groups(seed: int, scale: float) -> None:
    """Small and large ones, escaped or not."""
    rng = np.random.default_rng(seed)
    grouping = Grouping(rng.choice([*range(len(SEGMENTS)), 255], 200).astype(np.uint8))
    values = np.append(np.rint(rng.standard_normal(200) * scale).astype(np.float32), np.float32(0))
    levels = values.take(grouping.order)
    symbols, escaped = grouping.symbols(levels)
    assert np.array_equal(grouping.levels(symbols, memoryview(escaped)), levels)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(6, 9, 5), (1, 1, 8), (3, 1, 4), (7, 12), (30,)])
def test_a_basis_turns_back(layout: str, shape: tuple[int, ...]) -> None:
    """Orthonormal: the inverse is exact and lengths stay."""
    samples = smooth(shape, 60)
    channels = Basis(layout, shape, np.zeros(1, np.float32), None).size[2]
    vectors = np.linalg.qr(RNG.standard_normal((channels, channels)))[0].astype(np.float32)
    basis = Basis(layout, shape, np.zeros(channels, np.float32), vectors)
    coefficients = basis.forward(samples[0])
    assert np.allclose(basis.inverse(coefficients), samples[0], atol=1e-3)
    assert np.isclose(np.linalg.norm(coefficients), np.linalg.norm(samples[0]), rtol=1e-4)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(6, 9, 5), (1, 1, 8), (3, 1, 4), (7, 12)])
def test_a_basis_of_several_groups_turns_back(layout: str, shape: tuple[int, ...]) -> None:
    """Any independent vectors, others for each group of bands; tables follow the order of positions."""
    empty = Basis(layout, shape, np.zeros(1, np.float32), None)
    height, width, channels = empty.size
    groups = groups_of(height, width)
    vectors = RNG.standard_normal((groups[-1] + 1, channels, channels)).astype(np.float32) + 3 * np.eye(channels)
    basis = Basis(layout, shape, RNG.standard_normal(channels), vectors.astype(np.float32), groups)
    sample = smooth(shape, 1)[0]
    assert np.allclose(basis.inverse(basis.forward(sample)), sample, atol=1e-2)
    table = np.tile(np.arange(groups.size), (channels, 1))
    assert np.array_equal(basis.by_coefficient(table), np.repeat(np.sort(bands(height, width).ravel()), channels))


def test_vectors_that_lie_in_a_plane_are_refused() -> None:
    """What they mix cannot be told apart again."""
    with pytest.raises(ValueError, match=r"[Ss]ingular|independent"):
        Basis("NHWC", (1, 1, 3), np.zeros(3), np.ones((1, 3, 3), np.float32), np.zeros(1, np.uint8))


@pytest.mark.parametrize("name", CODECS)
def test_every_coefficient_that_is_sent_is_off_by_half_a_step_at_most(name: str) -> None:
    """Noise far from anything calibration saw as well, which escapes."""
    codec = CODECS[name]
    wild = RNG.standard_normal((2, *codec.basis.shape)) * 60
    array = wild.clip(-128, 127).astype(codec.dtype)
    back = codec.decode(memoryview(codec.encode(array)), codec.dtype, array.shape)
    loose = Transform(codec.name, "float32", codec.basis, codec.steps, codec.segments, codec.lengths, -1e9, 1e9)
    free = loose.decode(memoryview(codec.encode(array)), "float32", array.shape)
    step = codec.steps.T[codec.basis.bands]
    for sample, decoded in zip(array, free, strict=True):
        sent = codec.segments.T[codec.basis.bands] != 255
        off = np.abs(codec.basis.forward(sample.astype(np.float32)) - codec.basis.forward(decoded))
        assert (off <= step * 0.5 + 0.02)[sent].all()
    assert (back.dtype.name, back.shape) == (codec.dtype, array.shape)
    assert codec.low <= back.min()
    assert back.max() <= codec.high


def test_it_sends_far_less_and_errs_little() -> None:
    """On what it was fitted to: a tenth of the bytes at an error of a tenth."""
    codec = CODECS["NCHW"]
    body = codec.encode(FLOATS[:8])
    error = codec.decode(memoryview(body), "float32", (8, 6, 9, 5)) - FLOATS[:8]
    assert len(body) < FLOATS[:8].nbytes / 8
    assert np.linalg.norm(error) < 0.25 * np.linalg.norm(FLOATS[:8])


@given(st.sampled_from(sorted(CODECS)), st.integers(0, 10**6), st.data())
@settings(deadline=None, max_examples=200)
def test_damaged_bytes_decode_or_are_refused(name: str, seed: int, data: st.DataObject) -> None:
    """Cut short, lengthened, and with bytes changed: a tensor of the right shape or CodecError, nothing else."""
    codec = CODECS[name]
    sample = (np.random.default_rng(seed).standard_normal((1, *codec.basis.shape)) * 20).astype(codec.dtype)
    body = bytearray(codec.encode(sample))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        made = codec.decode(memoryview(bytes(body[:cut]) + data.draw(st.binary(max_size=3))), codec.dtype, sample.shape)
    except CodecError:
        return
    assert made.shape == sample.shape


def test_lying_counts_cost_no_memory() -> None:
    """A stream said to hold gigabytes is refused for what the plan knows of it."""
    codec = CODECS["NCHW"]
    parts = codec.code.used + 1
    lie = varint((1 << 28) - 1) * parts
    tracemalloc.start()
    with pytest.raises(CodecError):
        codec.decode(memoryview(lie + bytes(1000)), "float32", (1, 6, 9, 5))
    with pytest.raises(CodecError):
        codec.decode(memoryview(varint(100_000) + bytes(parts - 1) + bytes(100_000)), "float32", (1, 6, 9, 5))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_counts_end_where_they_should() -> None:
    """Small and large counts come back; a count cut short, too long or too large is refused."""
    numbers = (0, 1, 127, 128, 300, (1 << 28) - 1)
    body = b"".join(map(varint, numbers))
    assert read_counts(memoryview(body), 0, len(numbers)) == (list(numbers), len(body))
    for bad in (body[:-1], b"\x80" * 6, b"\x80" * 12 + b"\1", varint(1 << 28)):
        with pytest.raises(CodecError):
            read_counts(memoryview(bad), 0, len(numbers) if bad == body[:-1] else 1)


def test_a_plan_brings_its_codecs_along() -> None:
    """Through JSON and back they code the same bytes, and pack and unpack find them by tensor."""
    codec = CODECS["NCHW"]
    book = codebook([to_json("x", [codec])])
    array = FLOATS[:1]
    head, data = pack("t30", "x", array, book)
    assert data[-len(codec.encode(array)) :] == codec.encode(array)
    back = unpack(head, bytes(data), TensorSpec("x", "float32", (None, 6, 9, 5)), book)
    assert np.array_equal(back, codec.decode(memoryview(codec.encode(array)), "float32", array.shape))
    assert pack("t30", "y", array, book)[0].datatype == "FP32"  # not fitted to that one
    with pytest.raises(CodecError, match="unknown codec"):
        unpack(head, bytes(data), TensorSpec("x", "float32", (None, 6, 9, 5)))
    with pytest.raises(CodecError, match="at most 64 samples"):
        many = pack("t30", "x", np.repeat(array, 65, 0), book)
        unpack(many[0], bytes(many[1]), TensorSpec("x", "float32", (None, 6, 9, 5)), book)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_sent_raw(value: float) -> None:
    """A cosine of infinity says nothing."""
    array = FLOATS[:1].copy()
    array[0, 1, 2, 3] = value
    head, data = pack("t30", "x", array, codebook([to_json("x", [CODECS["NCHW"]])]))
    assert head.datatype == "FP32"
    assert bytes(data) == array.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"layout": "HWCN"},
        {"shape": [1 << 20, 1 << 20, 5]},
        {"shape": [0, 9, 5]},
        {"low": float("nan")},
        {"mean": "AAAA"},
        {"mean": 5},
        {"vectors": ""},
        {"groups": [1, 1, 1]},
        {"groups": None},
        {"dtype": "object"},
        {"qualities": [{"name": "t30"}]},
        {"qualities": 3},
    ],
)
def test_a_damaged_plan_is_named(change: dict[str, Any]) -> None:
    """One sentence, whatever the damage."""
    with pytest.raises(InputError, match=r"codec of the plan is damaged .* `partway plan`"):
        codebook([{**to_json("x", [CODECS["NCHW"]]), **change}])


def test_a_plan_cannot_rename_what_is_there() -> None:
    """A plan's ``raw`` would be another raw."""
    codec = CODECS["NCHW"]
    named = Transform(
        "raw", codec.dtype, codec.basis, codec.steps, codec.segments, codec.lengths, codec.low, codec.high
    )
    with pytest.raises(InputError, match="is taken"):
        codebook([to_json("x", [named])])
