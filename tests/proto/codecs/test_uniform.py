"""Codecs that need no calibration: lossless ones keep every bit, the others stay within half a step."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from partway.errors import CodecError
from partway.proto.codecs.registry import CODECS, RAW, pack, unpack
from partway.proto.codecs.uniform import ChannelLevels, Levels, Step, Zstd, decompressed
from partway.proto.datatypes import NUMPY_NAME
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=7)
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 1e-310, 5e-324, 1.5, 65504.0)


def there_and_back(codec: str, array: Array) -> Array:
    """Pack and unpack, as both halves do."""
    head, data = pack(codec, "x", array)
    return unpack(head, bytes(data), TensorSpec("x", array.dtype.name, array.shape))


@given(st.sampled_from(tuple(NUMPY_NAME.values())).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)))
@settings(deadline=None)
def test_lossless_is_lossless_for_every_dtype(array: Array) -> None:
    """Whatever the bits are, the very same come out."""
    back = there_and_back("zstd", array)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("codec", [RAW, *(codec.name for codec in CODECS.values() if codec.lossless)])
@pytest.mark.parametrize("dtype", NUMPY_NAME.values())
def test_lossless_is_lossless_for_what_tensors_are_like(dtype: str, codec: str) -> None:
    """Zeros, all equal, any bits at all (NaN with payloads, infinities, denormals), small numbers, and mostly zeros."""
    rng = np.random.default_rng(0)
    size = np.dtype(dtype).itemsize
    for shape in ((), (1,), (1, 1000), (2, 3, 5, 7), (1, 14, 14, 64), (1, 64, 14, 14)):
        count = int(np.prod(shape))
        noise = rng.integers(0, 2 if dtype == "bool" else 256, count * size, np.uint8).view(dtype)
        some = np.where(rng.random(count) < 0.05, noise, np.zeros(1, dtype))
        low = np.where(np.arange(count * size) % size == 0, rng.integers(0, 2, count * size), 0).astype(np.uint8)
        for values in (np.zeros(count, dtype), np.repeat(noise[:1], count), noise, some, low.view(dtype)):
            array = values.reshape(shape)
            back = there_and_back(codec, array)
            assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 5, 6, 40), (1, 40, 6, 5), (3, 400), (1200,)])
def test_lossless_keeps_what_floats_have_of_special_values(dtype: str, shape: tuple[int, ...]) -> None:
    """NaN, infinities, denormals and both zeros, among sparse values as ReLU leaves them."""
    rng = np.random.default_rng(0)
    sparse = np.maximum(rng.standard_normal(shape), 0)
    with np.errstate(over="ignore", under="ignore"):
        array = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), sparse).astype(dtype)
    head, data = pack("zstd", "x", array)
    assert there_and_back("zstd", array).tobytes() == array.tobytes()
    assert head.datatype == "BYTES"
    assert len(data) < array.nbytes


@given(
    st.sampled_from([codec for codec in CODECS.values() if isinstance(codec, Levels)]),
    st.sampled_from(("float16", "float32", "float64")).flatmap(
        lambda dtype: hnp.arrays(dtype, SHAPES, elements={"allow_nan": False, "allow_infinity": False})
    ),
)
@settings(deadline=None)
def test_levels_are_off_by_half_a_step_at_most(codec: Levels, array: Array) -> None:
    """Half a step of the frame's own range, and what rounding to the dtype adds."""
    back = there_and_back(codec.name, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    if not codec.fits(array):  # the range itself is too large a number: sent raw
        assert back.tobytes() == array.tobytes()
        return
    wide = array.astype(np.float64)
    step = (wide.max() - wide.min()) / (2**codec.bits - 1)
    most = np.abs(wide).max()
    slack = 4 * float(np.finfo(array.dtype).eps) * most + 1e-5 * step + float(np.finfo(array.dtype).smallest_subnormal)
    assert np.abs(back.astype(np.float64) - wide).max() <= step / 2 + slack


@given(
    st.sampled_from([codec for codec in CODECS.values() if isinstance(codec, Step)]),
    st.sampled_from(("int8", "uint8")).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)),
)
@settings(deadline=None)
def test_steps_are_off_by_half_a_step_at_most(codec: Step, array: Array) -> None:
    """Of integers, for every value there is."""
    back = there_and_back(codec.name, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.abs(back.astype(int) - array.astype(int)).max() <= codec.step / 2


def test_what_a_codec_cannot_pack_is_sent_raw() -> None:
    """NaN has no place among even steps, floats none among integers."""
    for codec, array in (
        ("q4", np.array([1, np.nan], np.float32)),
        ("s4", np.ones(3, np.float32)),
        ("zstd", np.zeros(0)),
    ):
        assert pack(codec, "x", array)[0].datatype != "BYTES"


@pytest.mark.parametrize("codec", [Zstd(), Levels(5)])
def test_a_bomb_is_refused_before_it_opens(codec: Any) -> None:
    """A gigabyte of zeros takes kilobytes; announcing it is enough to be refused."""
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 26))
    head = b"\0" * 16 if isinstance(codec, Levels) else b""
    with pytest.raises(CodecError, match="must announce 4"):
        codec.decode(memoryview(head + bomb), "float32", (1,) if isinstance(codec, Zstd) else (4,))


BOMB = """
import resource
import zstandard
from partway.proto.codecs.registry import CODECS
from partway.errors import CodecError

parts = [zstandard.ZstdCompressor(level=1, write_content_size=says).compressobj(size) for says, size in MADE]
honest, silent = (b"".join([*(p.compress(bytes(1 << 24)) for _ in range(64)), p.flush()]) for p in parts)
at = honest.index((1 << 30).to_bytes(4, "little"))
liar = honest[:at] + (1 << 18).to_bytes(4, "little") + honest[at + 4 :]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, head, dtype, shape in CASES:
    for bomb in (honest, silent, liar):
        try:
            CODECS[name].decode(memoryview(head + bomb), dtype, shape)
            raise SystemExit(f"{name} let a bomb through")
        except CodecError:
            pass
print(len(honest), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_gigabyte_that_a_few_kilobytes_claim_takes_no_memory() -> None:
    """Announced, not announced, and announced as what the plan expects: refused, the process as small as it was."""
    cases = [("zstd", b"", "uint8", (1, 1 << 18)), ("q5", bytes(16), "float32", (1, 1 << 18))]
    cases += [("c5", b"\1" + bytes(512), "float32", (1, 64, 64, 64)), ("s4", b"", "int8", (1, 1 << 18))]
    names = f"MADE, CASES = ((True, 1 << 30), (False, -1)), {cases}\n"
    done = subprocess.run([sys.executable, "-c", names + BOMB], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    sent_bytes, grown_kilobytes = map(int, done.stdout.split())
    assert sent_bytes < 1 << 17
    assert grown_kilobytes < 16 << 10


@given(
    st.sampled_from([codec for codec in CODECS.values() if isinstance(codec, ChannelLevels)]),
    st.sampled_from(("float16", "float32")).flatmap(
        lambda dtype: hnp.arrays(dtype, SHAPES, elements={"allow_nan": False, "allow_infinity": False})
    ),
)
@settings(deadline=None)
def test_levels_by_channel_are_off_by_half_a_step_of_their_channel(codec: ChannelLevels, array: Array) -> None:
    """Half a step of the channel's own range, and what rounding to float32 and to the dtype adds."""
    back = there_and_back(codec.name, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    if not codec.fits(array):
        assert back.tobytes() == array.tobytes()
        return
    axis = codec.encode(array)[0]
    rows, came = (np.moveaxis(a.astype(np.float64), axis, 0).reshape(array.shape[axis], -1) for a in (array, back))
    step = (rows.max(1) - rows.min(1)) / (2**codec.bits - 1)
    slack = 8 * float(np.finfo(array.dtype).eps) * np.abs(rows).max(1) + 1e-5 * step + 1e-35 * 2**codec.bits
    least = float(np.finfo(array.dtype).smallest_subnormal)
    assert (np.abs(came - rows).max(1) <= step / 2 + slack + least).all()


def test_a_channel_far_out_costs_the_others_nothing() -> None:
    """As language models and float networks have them: one range for all leaves the rest with hardly a level."""
    array = np.random.default_rng(0).standard_normal((1, 8, 16, 16)).astype(np.float32)
    array[:, 3] *= 1000
    for one, lesser in ((array, np.s_[:, :3]), (np.ascontiguousarray(array.transpose(0, 2, 3, 1)), np.s_[..., :3])):
        off = {codec: np.abs(there_and_back(codec, one) - one)[lesser].max() for codec in ("q5", "c5")}
        assert off["c5"] < 0.15 < off["q5"]


def test_ranges_of_channels_that_are_none_are_refused() -> None:
    """NaN, infinite, backwards, cut short, and levels beyond the bits."""
    array = np.random.default_rng(0).standard_normal((1, 2, 8, 8)).astype(np.float32)
    array[:, 1] *= 100
    body = ChannelLevels(5).encode(array)
    for at, number in ((1, np.nan), (1, np.inf), (9, -1.0), (13, np.nan), (9, 3e38)):
        bad = body[:at] + np.float32(number).tobytes() + body[at + 4 :]
        with pytest.raises(CodecError, match="no range"):
            ChannelLevels(5).decode(memoryview(bad), "float32", array.shape)
    for bad, words in (
        (body[:16], "ends within"),
        (b"\2" + body[1:], "not 2"),
        (ChannelLevels(8).encode(array), "more than 5 bits"),
    ):
        with pytest.raises(CodecError, match=words):
            ChannelLevels(5).decode(memoryview(bad), "float32", array.shape)


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    """More, less, none, cut short, and bytes behind it."""
    good = zstandard.ZstdCompressor(level=1).compress(bytes(range(100)))
    silent = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(100))
    assert decompressed(memoryview(good), 100) == bytes(range(100))
    for body, size in (
        (good, 99),
        (good, 101),
        (silent, 100),
        (good[:-3], 100),
        (b"", 0),
        (good + b"x", 100),
        (b"no", 2),
    ):
        with pytest.raises(CodecError):
            decompressed(memoryview(body), size)


def test_a_range_that_is_none_is_refused() -> None:
    """NaN, infinite, backwards or beyond the dtype."""
    body = Levels(5).encode(np.arange(4, dtype=np.float32))[16:]
    for low, step in ((np.nan, 1.0), (0.0, np.inf), (0.0, -1.0), (1e300, 1.0), (0.0, 1e300)):
        with pytest.raises(CodecError, match="no range"):
            Levels(5).decode(memoryview(np.array([low, step]).tobytes() + body), "float32", (4,))


@given(st.binary(max_size=200), st.sampled_from(list(CODECS.values())), st.sampled_from(("float32", "int8", "bool")))
@settings(deadline=None)
def test_any_bytes_decode_or_are_refused(body: bytes, codec: Any, dtype: str) -> None:
    """Nothing but CodecError leaves a decoder."""
    try:
        made = codec.decode(memoryview(body), dtype, (2, 3))
    except CodecError:
        return
    assert (made.dtype.name, made.shape) == (dtype, (2, 3))
