"""From any picture to the model's input."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from partway.errors import InputError
from partway.partitioner.plan.preprocess import Preprocess

COLOUR = Preprocess("image", 4, 6, 3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
GREY = Preprocess("image", 4, 6, 1)


def test_pixels_become_normalised_planes() -> None:
    """Each channel has its own mean and deviation, and channels come first."""
    pixels = np.random.default_rng(0).integers(0, 256, COLOUR.shape, dtype=np.uint8)
    expected = ((pixels / 255 - COLOUR.mean) / COLOUR.std).transpose(2, 0, 1)[None]
    made = COLOUR.tensor(pixels)
    assert (made.dtype, made.shape) == (np.float32, (1, 3, 4, 6))
    np.testing.assert_allclose(made, expected, rtol=1e-6)


@pytest.mark.parametrize("mean", [(0.5,), (0.5, 0.4, 0.3)])
def test_channels_may_come_last(mean: tuple[float, ...]) -> None:
    """The same values in the other layout."""
    std = tuple(0.2 for _ in mean)
    first = Preprocess("image", 4, 6, 3, "NCHW", mean=mean, std=std)
    last = Preprocess("image", 4, 6, 3, "NHWC", mean=mean, std=std)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(last.tensor(pixels), first.tensor(pixels).transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("dtype", "scale", "mean", "expected"),
    [
        ("uint8", 1.0, 0.0, [0, 128, 255]),
        ("int8", 1.0, 128.0, [-128, 0, 127]),
        ("int8", 1.0, 0.0, [0, 127, 127]),
        ("float16", 1 / 255, 0.0, [0.0, 0.50196, 1.0]),
    ],
)
def test_other_types_are_rounded_and_kept_in_range(
    dtype: str, scale: float, mean: float, expected: list[float]
) -> None:
    """Integer inputs are rounded and clipped, never wrapped."""
    made = Preprocess("i", 1, 3, 1, dtype=dtype, scale=scale, mean=(mean,)).tensor(
        np.array([[[0], [128], [255]]], np.uint8)
    )
    assert made.dtype.name == dtype
    np.testing.assert_allclose(made.reshape(-1).astype(float), expected, atol=1e-3)


def test_channels_may_be_in_the_other_order() -> None:
    """Mean and deviation are those of the tensor's channels; the pixels stay RGB, for codecs of pictures."""
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    for layout in ("NCHW", "NHWC"):
        bgr = Preprocess("image", 4, 6, 3, layout, mean=mean, std=std, order="BGR")
        rgb = Preprocess("image", 4, 6, 3, layout, mean=mean, std=std)
        np.testing.assert_array_equal(bgr.tensor(pixels), rgb.tensor(pixels[:, :, ::-1]))
        assert bgr.tensor(pixels).flags.c_contiguous
    np.testing.assert_array_equal(bgr.pixels(Image.fromarray(pixels)), pixels)


def test_three_channels_may_be_grey() -> None:
    """All three hold the luminance, of files and of arrays of the model's size."""
    grey = Preprocess("image", 4, 6, 3, order="GREY")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(grey.fitted_array(pixels)[0], expected)


def test_entries_of_older_plans_are_unchanged() -> None:
    """A new field is left out where it says nothing new, so that digests stay."""
    old = {
        "kind": "image", "value": "image", "height": 4, "width": 6, "channels": 3, "layout": "NCHW",
        "dtype": "float32", "fit": "crop", "crop_from": 8, "scale": 1 / 255, "mean": [0.0], "std": [1.0],
    }  # fmt: skip
    made = Preprocess.from_json(old)
    assert made is not None
    assert made.to_json() == old


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox", "letterbox-0-topleft"])
def test_a_point_of_the_picture_comes_back_from_the_input(fit: str) -> None:
    """A bright spot, found in the model's pixels, is at its place in the picture, also after EXIF turned it."""
    canvas = np.zeros((120, 200), np.uint8)
    canvas[60:70, 110:120] = 255
    picture, exif = Image.fromarray(canvas), Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    with Image.open(file) as stored:
        pixels, geometry = Preprocess("image", 48, 32, 1, fit=fit).fitted(stored)
    rows, columns = np.nonzero(pixels[:, :, 0] > 120)
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    assert geometry.to_picture(middle) == pytest.approx([115, 65], abs=200 / 32)
    assert (geometry.width, geometry.height) == (200, 120)


def test_arrays_of_the_models_size_are_taken_as_they_are() -> None:
    """Their geometry changes nothing; others are fitted."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    same, geometry = COLOUR.fitted_array(pixels)
    np.testing.assert_array_equal(same, pixels)
    np.testing.assert_array_equal(geometry.to_picture(np.array([3, 2])), [3, 2])
    larger, geometry = COLOUR.fitted_array(pixels.repeat(2, axis=0).repeat(2, axis=1))
    assert np.abs(larger.astype(int) - pixels).mean() < 60
    np.testing.assert_array_equal(geometry.to_picture(np.array([3, 2])), [6, 4])


def _gradient(mode: str) -> Image.Image:
    grey = Image.fromarray(np.uint8(np.linspace(0, 255, 24).reshape(4, 6)))
    if mode == "I;16":
        return Image.fromarray(np.asarray(grey, np.uint16) * 257)
    if mode == "palette with transparency":
        palette = Image.merge("RGBA", (grey, grey, grey, Image.new("L", grey.size, 255))).quantize(256)
        assert palette.mode == "P"
        return palette
    if mode == "LA":
        return Image.merge("LA", (grey, Image.new("L", grey.size, 255)))
    return grey.convert(mode)


@pytest.mark.parametrize(
    "mode", ["L", "RGB", "RGBA", "P", "LA", "I", "F", "I;16", "palette with transparency", "CMYK", "YCbCr"]
)
@pytest.mark.parametrize("wanted", [GREY, COLOUR], ids=["grey", "colour"])
def test_any_kind_of_picture_gives_the_same_pixels(mode: str, wanted: Preprocess) -> None:
    """Greys, colours, palettes, transparency and 16 bits all show what they show on a screen."""
    expected = np.uint8(np.linspace(0, 255, 24).reshape(4, 6, 1))
    pixels = wanted.pixels(_gradient(mode))
    assert (pixels.dtype, pixels.shape) == (np.uint8, wanted.shape)
    assert np.abs(pixels.astype(int) - expected).max() <= 8


def test_values_that_are_no_numbers_are_black() -> None:
    """A float picture with holes in it is read all the same."""
    values = np.full((4, 6), 200, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    pixels = GREY.pixels(Image.fromarray(values))[:, :, 0]
    assert (pixels[0, :3] == 0).all()
    assert (pixels[1:] == 200).all()


def test_transparency_shows_white() -> None:
    """Where a picture is transparent the page behind it is white, whatever colour hides there."""
    assert (COLOUR.pixels(Image.new("RGBA", (6, 4), (255, 0, 0, 0))) == 255).all()
    assert (COLOUR.pixels(Image.new("RGBA", (6, 4), (255, 0, 0, 255))) == [255, 0, 0]).all()


def test_stretching_uses_the_whole_picture() -> None:
    """A picture half black, half white stays so at any proportions."""
    picture = Image.fromarray(np.uint8(np.repeat([[0, 255]], 8, axis=0)).repeat(10, axis=1))
    pixels = GREY.pixels(picture)
    assert pixels[0, 0, 0] == 0
    assert pixels[0, -1, 0] == 255


@pytest.mark.parametrize("size", [(40, 10), (10, 40), (10, 10), (3, 2)])
def test_cropping_keeps_the_centre(size: tuple[int, int]) -> None:
    """The short side is scaled, the long one cut on both sides alike, and what is small is made larger."""
    width, height = size
    canvas = np.zeros((height, width), np.uint8)
    canvas[height // 2 - 1 : height // 2 + 1, max(0, width // 2 - 1) : width // 2 + 1] = 255
    pixels = Preprocess("image", 4, 4, 1, fit="crop").pixels(Image.fromarray(canvas))[:, :, 0]
    assert pixels.shape == (4, 4)
    assert pixels[1:3, 1:3].mean() > pixels.mean()


def test_cropping_from_a_larger_size_cuts_the_border_away() -> None:
    """With crop_from the border of the scaled picture is outside."""
    canvas = np.full((8, 8), 255, np.uint8)
    canvas[2:6, 2:6] = 0
    inside = Preprocess("image", 4, 4, 1, fit="crop", crop_from=8).pixels(Image.fromarray(canvas))
    assert (inside == 0).all()


def test_digits_are_read_as_mnist_was_made() -> None:
    """With fit digit a dark stroke on white becomes a light one on black, centred."""
    canvas = np.full((100, 60), 255, np.uint8)
    canvas[10:90, 5:15] = 0
    pixels = Preprocess("image", 28, 28, 1, fit="digit").pixels(Image.fromarray(canvas))
    assert pixels.shape == (28, 28, 1)
    assert pixels[14, 12:16].max() == 255
    assert pixels[0].max() == pixels[:, 0].max() == 0


@pytest.mark.parametrize("made", [COLOUR, GREY, Preprocess("x", 28, 28, 1, "NHWC", "uint8", "digit", 0, 1.0)])
def test_a_preprocess_survives_json(made: Preprocess) -> None:
    """What a plan holds is what comes back."""
    assert Preprocess.from_json(made.to_json()) == made


@pytest.mark.parametrize("data", [{}, {"kind": "tensor"}])
def test_a_plan_may_take_no_pictures(data: Mapping[str, Any]) -> None:
    """Without an image entry there is no preprocess."""
    assert Preprocess.from_json(data) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": "red"}, "colour"),
        ({"value": 3}, "value"),
        ({"height": 0}, "height"),
        ({"width": "28"}, "width"),
        ({"channels": 4}, "channels"),
        ({"fit": "squeeze"}, "fit"),
        ({"fit": "digit"}, "fit"),
        ({"crop_from": 1.5}, "crop_from"),
        ({"fit": "letterbox-999"}, "fit"),
        ({"order": "GBR"}, "order"),
        ({"order": None}, "order"),
        ({"channels": 1, "order": "BGR"}, "order"),
        ({"layout": "CHWN"}, "layout"),
        ({"dtype": "string"}, "dtype"),
        ({"scale": "1/255"}, "scale"),
        ({"mean": [0.1, 0.2]}, "mean"),
        ({"mean": None}, "damaged"),
        ({"mean": [float("nan")] * 3}, "mean"),
        ({"std": [1.0]}, "std"),
        ({"std": [1.0, 0.0, 1.0]}, "std"),
        ({"scale": 10**400}, "damaged"),
    ],
)
def test_a_damaged_entry_is_refused(change: dict[str, Any], says: str) -> None:
    """Whatever cannot be is named before it breaks something later."""
    with pytest.raises(InputError, match=says):
        Preprocess.from_json({**COLOUR.to_json(), **change})


def test_a_missing_field_is_refused() -> None:
    """An entry without a size is no entry."""
    data = COLOUR.to_json()
    del data["height"]
    with pytest.raises(InputError, match="height"):
        Preprocess.from_json(data)


@given(
    st.integers(1, 60), st.integers(1, 60), st.sampled_from(["L", "RGB", "RGBA"]), st.sampled_from(["stretch", "crop"])
)
def test_pictures_of_any_size_fit(width: int, height: int, mode: str, fit: str) -> None:
    """A single pixel and a thin strip become the model's input like any other picture."""
    picture = Image.new(mode, (width, height), 255 if mode == "L" else "white")
    made = Preprocess("image", 5, 7, 3, fit=fit, crop_from=9).pixels(picture)
    assert made.shape == (5, 7, 3)
    assert (made == 255).all()


def test_jpeg_bytes_and_their_pixels_agree() -> None:
    """A picture that went through a file gives what it gave before, within what JPEG costs."""
    picture = _gradient("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    with Image.open(file) as again:
        apart = COLOUR.pixels(again).astype(int) - COLOUR.pixels(picture)
    assert np.abs(apart).max() < 40
