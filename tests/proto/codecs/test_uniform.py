"""Uniform quantisation: what comes back is off by half a step at most."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support.codecs import there_and_back

from partway.errors import CodecError
from partway.proto.codecs.packing import pack
from partway.proto.codecs.registry import codec, codec_names, tensor_codec
from partway.proto.codecs.uniform import CHANNEL_LEVELS, LEVELS, STEPS, ChannelLevels, Levels, Step

Array = np.ndarray[Any, Any]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=7)


@given(
    st.sampled_from([codec(name) for name in LEVELS.names]),
    st.sampled_from(("float16", "float32", "float64")).flatmap(
        lambda dtype: hnp.arrays(dtype, SHAPES, elements={"allow_nan": False, "allow_infinity": False})
    ),
)
@example(Levels(8), np.array([0.0, np.finfo(np.float64).tiny]))
@example(Levels(8), np.array([0.0, 2 * np.finfo(np.float64).smallest_subnormal]))
@settings(deadline=None)
def test_levels_are_off_by_half_a_step_at_most(codec: Levels, array: Array) -> None:
    """Half a step of the frame's own range, and what rounding to the dtype adds."""
    back = there_and_back(codec.name, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    if not codec.fits(array):  # the range is too large or too small a number: sent raw
        assert back.tobytes() == array.tobytes()
        return
    wide = array.astype(np.float64)
    step = (wide.max() - wide.min()) / (2**codec.bits - 1)
    most = np.abs(wide).max()
    slack = 4 * float(np.finfo(array.dtype).eps) * most + 1e-5 * step + float(np.finfo(array.dtype).smallest_subnormal)
    assert np.abs(back.astype(np.float64) - wide).max() <= step / 2 + slack


@given(
    st.sampled_from([codec(name) for name in STEPS.names]),
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
    for name, array in (
        ("q4", np.array([1, np.nan], np.float32)),
        ("s4", np.ones(3, np.float32)),
        ("zstd", np.zeros(0)),
    ):
        assert pack(name, "x", array)[0].datatype != "BYTES"


@given(
    st.sampled_from([codec(name) for name in CHANNEL_LEVELS.names]),
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


def test_a_range_that_is_none_is_refused() -> None:
    """NaN, infinite, backwards or beyond the dtype."""
    body = Levels(5).encode(np.arange(4, dtype=np.float32))[16:]
    for low, step in ((np.nan, 1.0), (0.0, np.inf), (0.0, -1.0), (1e300, 1.0), (0.0, 1e300)):
        with pytest.raises(CodecError, match="no range"):
            Levels(5).decode(memoryview(np.array([low, step]).tobytes() + body), "float32", (4,))


@given(
    st.binary(max_size=200),
    st.sampled_from([*filter(None, map(tensor_codec, codec_names()))]),
    st.sampled_from(("float32", "int8", "bool")),
)
@settings(deadline=None)
def test_any_bytes_decode_or_are_refused(body: bytes, codec: Any, dtype: str) -> None:
    """Nothing but CodecError leaves a decoder."""
    try:
        made = codec.decode(memoryview(body), dtype, (2, 3))
    except CodecError:
        return
    assert (made.dtype.name, made.shape) == (dtype, (2, 3))
