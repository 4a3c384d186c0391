"""Orientation, depth and opacity of pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from partway.errors import InputError
from partway.partitioner.plan.pictures.upright import has_deep_levels, levels, opaque, orientation, swaps_sides, upright

ORIENTATION = 0x0112


def turned(number: object, kind: str) -> Image.Image:
    """A picture with four different corners, whose EXIF says this orientation, from a file of this kind."""
    corners = np.array([[0, 80], [160, 240]], np.uint8).repeat(8, axis=0).repeat(16, axis=1)
    picture, exif, file = Image.fromarray(corners), Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = number
    picture.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return Image.open(file)


def corners_of(picture: Image.Image) -> list[int]:
    """The levels of the corners in tens, row by row."""
    array = np.asarray(picture.convert("L"), int)
    return [round(int(level) / 80) for level in (array[0, 0], array[0, -1], array[-1, 0], array[-1, -1])]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("number", "corners"),
    [
        (1, [0, 1, 2, 3]), (2, [1, 0, 3, 2]), (3, [3, 2, 1, 0]), (4, [2, 3, 0, 1]),
        (5, [0, 2, 1, 3]), (6, [2, 0, 3, 1]), (7, [3, 1, 2, 0]), (8, [1, 3, 0, 2]),
    ],
)  # fmt: skip
def test_a_picture_is_turned_as_its_camera_says(kind: str, number: int, corners: list[int]) -> None:
    """All eight orientations of EXIF, once, also where Pillow turns the picture itself."""
    picture = turned(number, kind)
    made = upright(picture)
    assert corners_of(made) == corners
    assert made.size == ((16, 32) if number >= 5 else (32, 16))
    assert corners_of(upright(made)) == corners


def test_sides_swap_for_the_last_four_orientations() -> None:
    """Known before anything is decoded."""
    assert [swaps_sides(turned(number, "JPEG")) for number in range(1, 9)] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("number", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_none(number: int) -> None:
    """The picture stays as it is."""
    assert orientation(turned(number, "PNG")) == 1


def test_damaged_exif_is_none() -> None:
    """The pixels are good without it."""
    picture = Image.new("L", (2, 2))
    picture.info["exif"] = b"Exif\0\0MM\0"
    assert orientation(picture) == 1


def test_16_bits_have_their_own_range_however_dark_they_are() -> None:
    """A 16-bit picture shows what its 8-bit equal shows."""
    grey = np.arange(0, 60, dtype=np.uint8).reshape(6, 10)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert deep.mode == "I;16" and has_deep_levels(deep)
    np.testing.assert_array_equal(np.asarray(opaque(deep, "L")), grey)


@pytest.mark.parametrize(
    ("dtype", "peak", "shown"),
    [
        (np.float32, 0.5, 127.5), (np.float32, 1.0, 255.0), (np.float32, 100.0, 100.0), (np.float32, 65535.0, 255.0),
        (np.int32, 1, 1.0), (np.int32, 200, 200.0), (np.int32, 514, 2.0),
    ],
)  # fmt: skip
def test_floats_and_32_bits_have_the_smallest_range_that_holds_them(dtype: type, peak: float, shown: float) -> None:
    """0..1 of floats only, then 8 and 16 bits."""
    assert levels(Image.fromarray(np.full((2, 2), peak, dtype))) == pytest.approx(shown)


def test_a_range_that_a_tiff_declares_counts(tmp_path: Path) -> None:
    """SMinSampleValue and SMaxSampleValue."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[340], tags[341] = 100.0, 300.0
    tags.tagtype[340] = tags.tagtype[341] = 11
    path = tmp_path / "declared.tif"
    Image.fromarray(np.full((2, 2), 200, np.float32)).save(path, tiffinfo=tags)
    with Image.open(path) as picture:
        assert levels(picture) == pytest.approx(127.5)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_an_unknown_range_is_refused(dtype: type) -> None:
    """Better than a picture of another brightness."""
    with pytest.raises(InputError, match=r"go up to 1e.06, and its range is unknown; save it with 8 or 16 bits"):
        levels(Image.fromarray(np.full((2, 2), 1_000_000, dtype)))


def test_opaque_pictures_have_the_mode_asked_for() -> None:
    """Transparency is over white."""
    assert opaque(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "L").getpixel((0, 0)) == 255
    assert opaque(Image.new("CMYK", (2, 2)), "RGB").getpixel((0, 0)) == (255, 255, 255)
