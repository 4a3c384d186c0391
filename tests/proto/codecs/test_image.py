"""Pictures on the wire."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from partway.errors import CodecError, InputError
from partway.proto.codecs.image import decode_image, encode_image, is_image_codec, is_lossless_image

LOSSLESS = ("u8", "png", "webp-lossless")
LOSSY = ("jpeg0", "jpeg50", "jpeg100", "webp0", "webp75", "webp100")
SHAPES = ((1, 1, 1), (1, 1, 3), (28, 28, 1), (5, 9, 3), (64, 48, 3))

Array = np.ndarray[Any, Any]


def picture(shape: tuple[int, int, int], seed: int = 0) -> Array:
    """Noise, the hardest picture there is."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def gradient(shape: tuple[int, int, int]) -> Array:
    """A smooth picture."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.stack([(x * 3 + y * 2 + 40 * c) % 256 for c in range(shape[2])], axis=2).astype(np.uint8)


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand: its header says what we like, the chunks are ours."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *[(name, True) for name in (*LOSSLESS, *LOSSY)],
        *[
            (name, False)
            for name in ("", "raw", "fp16", "jpeg", "jpeg101", "jpeg-1", "jpeg075", "webp1000", "PNG", "gif")
        ],
        ("jpeg75\n", False),
    ],
)
def test_codec_names_are_known_exactly(name: str, known: bool) -> None:
    """Qualities are 0 to 100 without a leading zero; nothing else is a picture's codec."""
    assert is_image_codec(name) is known


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("codec", LOSSLESS)
def test_lossless_codecs_give_back_the_very_pixels(codec: str, shape: tuple[int, int, int]) -> None:
    """Grey or colour, one pixel or many."""
    assert is_lossless_image(codec)
    pixels = picture(shape)
    assert np.array_equal(decode_image(codec, memoryview(encode_image(codec, pixels)), shape), pixels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("codec", LOSSY)
def test_lossy_codecs_give_back_a_picture_of_the_same_shape(codec: str, shape: tuple[int, int, int]) -> None:
    """Shape and dtype are those of the picture that was packed."""
    assert not is_lossless_image(codec)
    decoded = decode_image(codec, memoryview(encode_image(codec, picture(shape))), shape)
    assert (decoded.shape, decoded.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_higher_quality_costs_bytes_and_gives_likeness(kind: str) -> None:
    """The quality in the name is the one used, from the lowest on."""
    shape = (64, 64, 3)
    pixels = gradient(shape)
    coded = [encode_image(f"{kind}{quality}", pixels) for quality in (0, 30, 60, 90)]
    errors = [np.abs(decode_image(f"{kind}90", memoryview(data), shape).astype(int) - pixels).mean() for data in coded]
    assert [len(data) for data in coded] == sorted({len(data) for data in coded})
    assert errors == sorted(errors, reverse=True) and errors[-1] < 12


@given(st.sampled_from(LOSSLESS), st.integers(1, 20), st.integers(1, 20), st.sampled_from((1, 3)), st.integers(0, 9))
@settings(deadline=None)
def test_any_picture_survives_a_lossless_codec(codec: str, height: int, width: int, channels: int, seed: int) -> None:
    """Sizes that no block fits are exact as well."""
    pixels = picture((height, width, channels), seed)
    assert np.array_equal(decode_image(codec, memoryview(encode_image(codec, pixels)), pixels.shape), pixels)


def test_a_picture_of_a_part_of_an_array_is_packed_right() -> None:
    """A view with gaps, as a crop gives it, packs like its copy."""
    pixels = picture((20, 20, 3))[2:12:2, 3:9]
    for codec in LOSSLESS:
        assert np.array_equal(decode_image(codec, memoryview(encode_image(codec, pixels)), pixels.shape), pixels)


@pytest.mark.parametrize("codec", ["gif", "raw", "", "jpeg101"])
def test_unknown_codecs_are_named(codec: str) -> None:
    """The user reads which there are; the wire is refused."""
    with pytest.raises(InputError, match="known: u8, png"):
        encode_image(codec, picture((2, 2, 1)))
    with pytest.raises(CodecError, match="unknown image codec"):
        decode_image(codec, memoryview(b"1234"), (2, 2, 1))


@pytest.mark.parametrize("size", [0, 3, 5])
def test_pixels_of_a_wrong_length_are_refused(size: int) -> None:
    """Raw pixels must be exactly as many as the plan announces."""
    with pytest.raises(CodecError, match="a 2 x 2 picture takes 4 bytes"):
        decode_image("u8", memoryview(bytes(size)), (2, 2, 1))


@pytest.mark.parametrize("codec", ["png", "jpeg80", "webp80", "webp-lossless"])
@pytest.mark.parametrize("shape", [(4, 5, 3), (5, 4, 1), (1000, 1000, 1)])
def test_a_picture_of_another_size_is_refused(codec: str, shape: tuple[int, int, int]) -> None:
    """Both sizes are named, width first."""
    body = memoryview(encode_image(codec, picture(shape)))
    with pytest.raises(CodecError, match=f"must be 4 x 4, {shape[1]} x {shape[0]} came"):
        decode_image(codec, body, (4, 4, 1))


def test_colour_and_grey_are_converted_to_what_the_model_takes() -> None:
    """A grey model shown a colour picture sees it in grey, and the other way round."""
    assert decode_image("png", memoryview(encode_image("png", picture((4, 4, 3)))), (4, 4, 1)).shape == (4, 4, 1)
    grey = picture((4, 4, 1))
    assert np.array_equal(decode_image("png", memoryview(encode_image("png", grey)), (4, 4, 3)), np.repeat(grey, 3, 2))


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (0, 0), (9_000, 10_000)])
def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    """A header of gigapixels over a kilobyte of data costs nothing."""
    body = png(width, height, (b"IDAT", zlib.compress(bytes(1000))))
    with pytest.raises(CodecError):
        decode_image("png", memoryview(body), (28, 28, 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\xff\xff\xff\xffWEBPVP8L",
        b"\xff\xd8\xff\xe0",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        png(4, 4),
        png(4, 4, (b"IDAT", b"not zlib")),
        png(4, 4, (b"IDAT", zlib.compress(b"\0" * 7))),
        png(4, 4, (b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))), (b"IDAT", zlib.compress(bytes(20)))),
        png(4, 4, (b"zTXt", b"x\0\0" + zlib.compress(bytes(50_000_000))), (b"IDAT", zlib.compress(bytes(3)))),
        png(4, 4, (b"IHDR", b"")),
        png(4, 4, (b"tRNS", b""), (b"pHYs", b""), (b"gAMA", b""), (b"IDAT", b"")),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"/etc/passwd",
    ],
)
def test_damaged_and_foreign_files_are_refused(body: bytes) -> None:
    """Whatever a file is instead of a picture, the answer is one sentence about it."""
    with pytest.raises(CodecError, match="does not decode"):
        decode_image("png", memoryview(body), (4, 4, 1))


@given(st.sampled_from(("png", "jpeg80", "webp80", "webp-lossless")), st.data())
@settings(deadline=None, max_examples=200)
def test_a_damaged_picture_decodes_or_is_refused(codec: str, data: st.DataObject) -> None:
    """Bytes flipped, cut out or put in give a picture of the right shape or a CodecError, nothing else."""
    good = encode_image(codec, picture((6, 5, 3)))
    at = data.draw(st.integers(0, len(good) - 1))
    body = good[:at] + data.draw(st.binary(max_size=6)) + good[at + data.draw(st.integers(0, 6)) :]
    try:
        decoded = decode_image(codec, memoryview(body), (6, 5, 3))
    except CodecError:
        return
    assert (decoded.shape, decoded.dtype) == ((6, 5, 3), np.uint8)


def test_a_moving_picture_is_its_first() -> None:
    """Of an animation the first picture counts, whatever follows."""
    first, second = (Image.fromarray(picture((6, 6, 3), seed)) for seed in (1, 2))
    out = io.BytesIO()
    first.save(out, "PNG", save_all=True, append_images=[second])
    assert np.array_equal(decode_image("png", memoryview(out.getvalue()), (6, 6, 3)), np.asarray(first))
