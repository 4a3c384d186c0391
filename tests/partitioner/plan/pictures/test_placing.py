"""Fitted pictures, and the way back to the original's pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from partway.partitioner.plan.pictures.placing import placed, scaled

FITS = ["stretch", "crop", "letterbox", "letterbox-0-topleft"]


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(1, 40), st.integers(1, 40), st.sampled_from(FITS),
    st.integers(0, 60),
)  # fmt: skip
def test_any_size_fits_and_its_corners_come_back(
    width: int, height: int, wide: int, high: int, fit: str, crop_from: int
) -> None:
    """A point of the picture, sent into the input and back, is where it was."""
    picture, size = Image.new("L", (width, height)), (wide, high)
    image, geometry = placed(picture, picture.size, size, fit, crop_from)
    assert image.size == size
    assert (geometry.width, geometry.height, geometry.input_width, geometry.input_height) == (*picture.size, *size)
    corners = np.array([[0, 0], [width, height]])
    sent = corners * [geometry.scale_x, geometry.scale_y] + [geometry.left, geometry.top]
    np.testing.assert_allclose(geometry.to_picture(sent), corners, atol=1e-6)


@pytest.mark.parametrize(("fit", "left", "top"), [("letterbox-7", 0, 4), ("letterbox-7-topleft", 0, 0)])
def test_a_letterbox_keeps_proportions_and_fills_the_rest(fit: str, left: int, top: int) -> None:
    """A wide picture in a square has bars above and below, or below only."""
    image, geometry = placed(Image.new("L", (32, 16), 200), (32, 16), (16, 16), fit)
    expected = np.full((16, 16), 7, np.uint8)
    expected[top : top + 8, left : left + 16] = 200
    np.testing.assert_array_equal(np.asarray(image), expected)
    assert (geometry.scale_x, geometry.scale_y, geometry.left, geometry.top) == (0.5, 0.5, left, top)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (1, 2, 3)), ("L", 2)])
def test_the_rest_may_have_a_colour(mode: str, colour: object) -> None:
    """Three levels are RGB; a grey picture takes their mean."""
    image, _ = placed(Image.new(mode, (2, 4)), (2, 4), (4, 4), "letterbox-1,2,3")
    assert image.getpixel((0, 0)) == colour


def test_a_crop_is_what_pillow_covers() -> None:
    """The size before the cut is that of ImageOps.cover, for any proportions."""
    dice = np.random.default_rng(0)
    for width, height in dice.integers(1, 500, (200, 2)).tolist():
        covering = ImageOps.cover(Image.new("1", (width, height)), (64, 64))
        assert scaled((width, height), (60, 50), "crop", 64) == covering.size


def test_a_picture_that_a_decoder_reduced_is_placed_by_its_original_size() -> None:
    """The geometry is that of the whole picture."""
    whole, whole_geometry = placed(Image.new("L", (400, 200), 9), (400, 200), (20, 20), "letterbox")
    reduced, geometry = placed(Image.new("L", (50, 25), 9), (400, 200), (20, 20), "letterbox")
    assert geometry == whole_geometry
    np.testing.assert_array_equal(np.asarray(reduced), np.asarray(whole))
