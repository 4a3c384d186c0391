"""Channels lie together before they are compressed, whichever axis counts them."""

from typing import Any

import numpy as np
import pytest

from partway.errors import CodecError
from partway.proto.codecs.channels import axis_mark, by_channel, channel_axis, from_channels, implied_axis, read_axis
from partway.proto.codecs.packing import pack, unpack
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
SHAPES = [(16, 56, 56), (64, 28, 28), (256, 7, 7), (12, 45, 80), (32, 20, 36), (40, 12, 20), (3, 96, 160)]


def feature_maps(shape: tuple[int, ...]) -> Array:
    """[1, channels, height, width]: smooth maps of unlike channels, zeros where a ReLU left them."""
    rng = np.random.default_rng(0)
    maps = rng.standard_normal(shape).cumsum(1).cumsum(2)
    maps = maps / maps.std((1, 2), keepdims=True) + 2 * rng.standard_normal((shape[0], 1, 1))
    return np.maximum(maps, 0).astype(np.float32)[None]


def channels_last(array: Array) -> Array:
    """The same values as [1, height, width, channels]."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_axis_of_the_channels_is_found_in_either_layout(shape: tuple[int, ...]) -> None:
    """Neither the width of a wide map nor the height of a tall one is taken for the channels."""
    array = feature_maps(shape)
    assert (channel_axis(array), channel_axis(channels_last(array))) == (1, 3)


@pytest.mark.parametrize("codec", ["zstd", "q8", "q5", "s4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_tensor_codes_to_the_same_size_in_either_layout(codec: str, shape: tuple[int, ...]) -> None:
    """Copies in NCHW and NHWC differ by the byte that names the axis at most, and both come back."""
    array = feature_maps(shape)
    array = (array * 40).clip(-128, 127).astype(np.int8) if codec == "s4" else array
    sizes = []
    for one in (array, channels_last(array)):
        head, data = pack(codec, "x", one)
        back = unpack(head, bytes(data), TensorSpec("x", one.dtype.name, one.shape))
        sizes.append(len(data))
        step = {"zstd": 0, "s4": 2, "q5": float(np.ptp(one)) / 62, "q8": float(np.ptp(one)) / 510}[codec]
        assert np.abs(back.astype(float) - one.astype(float)).max() <= step * 1.001
    header_bytes = 8
    assert abs(sizes[0] - sizes[1]) <= header_bytes


@pytest.mark.parametrize("shape", SHAPES)
def test_channels_together_take_fewer_bytes(shape: tuple[int, ...]) -> None:
    """Rows of the width or the height in place of channels cost more."""
    import zstandard

    array = feature_maps(shape)
    sizes = [
        len(
            zstandard.ZstdCompressor(level=1).compress(np.rint(by_channel(array, axis) * 10).astype(np.uint8).tobytes())
        )
        for axis in (1, 2, 3)
    ]
    assert sizes[0] < min(sizes[1:])


OLD = [
    (
        ("zstd", "float32", (1, 2, 3, 4)),
        "5a00000083a5636f646563a47a737464a56474797065a7666c6f61743332a57368617065940102030428b52ffd2060650100"
        "1402000080004080a080a0105088a800c0206090b040e0307098b80040414141413f400300c0842997230258",
    ),
    (
        ("q5", "float32", (1, 2, 3, 4)),
        "5400000083a5636f646563a27135a56474797065a7666c6f61743332a5736861706594010203040000000000000000bef7de"
        "7befbde73f28b52ffd2018c1000000050b10161b01070c12171c03080d13181e04090f141a1f",
    ),
    (
        ("s4", "int8", (1, 2, 3, 4)),
        "4100000083a5636f646563a27334a56474797065a4696e7438a57368617065940102030428b52ffd2018c100002021222324"
        "25202122232425202222242426212223242526",
    ),
    (
        ("zstd", "float32", (1, 4, 3, 2)),
        "5400000083a5636f646563a47a737464a56474797065a7666c6f61743332a57368617065940104030228b52ffd2060350100"
        "e8000080004080a0c0e0001020304050607080889098a0a8b0b8003f40410310002d6c07511b",
    ),
]


@pytest.mark.parametrize(("what", "blob"), OLD)
def test_blobs_without_an_axis_decode_as_before(what: tuple[str, str, tuple[int, ...]], blob: str) -> None:
    """Frames of versions that took the larger of two axes for the channels mean what they meant."""
    codec, dtype, shape = what
    array = np.arange(24).astype(dtype).reshape(shape)
    head, _ = pack(codec, "x", array)
    back = unpack(head, bytes.fromhex(blob), TensorSpec("x", dtype, shape))
    assert np.abs(back.astype(float) - array).max() <= {"zstd": 0, "q5": 23 / 62 + 1e-6, "s4": 2}[codec]


@pytest.mark.parametrize("shape", [(), (5,), (4, 7), (2, 3, 4), (2, 3, 4, 5), (2, 5, 4, 3), (1, 2, 3, 4, 5)])
def test_values_come_back_from_any_axis(shape: tuple[int, ...]) -> None:
    """Putting channels first and back is the identity for every shape, with its mark or without."""
    array = np.arange(int(np.prod(shape))).reshape(shape)
    for axis in {channel_axis(array), implied_axis(shape)}:
        flat = np.ascontiguousarray(by_channel(array, axis)).reshape(-1)
        found, rest = read_axis(memoryview(axis_mark(axis, shape) + b"\x28rest"), shape)
        assert (found, bytes(rest)) == (axis, b"\x28rest")
        assert np.array_equal(from_channels(flat, shape, axis), array)


def test_values_without_a_difference_have_their_channels_on_axis_one() -> None:
    """Zeros, infinities and NaN choose no other axis and warn of nothing."""
    for fill in (0.0, np.inf, np.nan, 1e308):
        assert channel_axis(np.full((1, 3, 5, 7), fill)) == 1


@pytest.mark.parametrize("axis", [4, 9, 15])
def test_an_axis_that_is_not_there_is_refused(axis: int) -> None:
    """A byte below a Zstandard frame's first is an axis of the tensor or a lie."""
    with pytest.raises(CodecError, match=f"on axis {axis}"):
        read_axis(memoryview(bytes([axis])), (1, 2, 3, 4))
