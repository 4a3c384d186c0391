"""The ink in a picture, told from paper, light and dirt."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.support.digits import difference, grey, seven

from partway.partitioner.plan.pictures.mnist_digit import digit_from_image
from partway.partitioner.plan.pictures.mnist_ink import greys, ink_of

EXPECTED = digit_from_image(grey(255 * seven()))

MEASURED = """
import time
import numpy as np
from PIL import Image
from partway.partitioner.plan.pictures.mnist_digit import digit_from_image

grain = np.random.default_rng(0).integers(0, 40, (160, 200, 3), dtype=np.uint8)
grain[40:120, 90:110] = 230
picture = Image.fromarray(grain)
digit_from_image(picture)
process_s, thread_s = time.process_time(), time.thread_time()
for _ in range(10):
    digit_from_image(picture)
print((time.process_time() - process_s) / (time.thread_time() - thread_s))
"""


@pytest.mark.parametrize("angle", range(0, 360, 45))
def test_uneven_light_does_not_count_as_ink(angle):
    """Paper that loses more than half its light across the picture, with noise, gives the same digit."""
    down, right = np.mgrid[:160, :240] / 160 - 0.5
    light = 150 + 60 * (right * np.cos(np.radians(angle)) + down * np.sin(np.radians(angle))) - 60 * right**2
    noise = np.random.default_rng(angle).normal(0, 4, light.shape)
    photo = grey(light * (1 - 0.6 * seven(112, (50, 25), (240, 160))) + noise)
    assert difference(digit_from_image(photo), EXPECTED) < 0.3


def test_dust_and_the_edge_of_the_desk_are_left_out():
    """Specks and a dark strip along the picture's edge do not change the digit."""
    ink = seven(112, (70, 25), (240, 160))
    ink[5:8, 30:33] = ink[150:153, 200:204] = ink[:, :6] = 1
    assert difference(digit_from_image(grey(255 - 255 * ink)), EXPECTED) < 0.12


def test_an_empty_picture_has_no_ink() -> None:
    """Paper of one shade, and paper that is only unevenly lit."""
    assert ink_of([np.full((40, 60), 200, np.float32)]) is None
    down, right = np.mgrid[:40, :60]
    assert ink_of([(100 + down + 0.5 * right).astype(np.float32)]) is None
    assert ink_of([]) is None


@pytest.mark.parametrize("dark", [True, False])
def test_ink_is_what_differs_from_paper_of_any_shade(dark: bool) -> None:
    """Dark on light and light on dark give the same ink, 0 on the paper and 1 in the stroke."""
    coverage = seven(80, (20, 20), (120, 120))
    levels = 220 - 180 * coverage if dark else 30 + 180 * coverage
    ink = ink_of([levels.astype(np.float32)])
    assert ink is not None
    assert ink.shape == coverage.shape
    assert ink[coverage == 0].max() == 0.0
    assert ink[coverage == 1].min() == pytest.approx(1.0)


def test_of_two_readings_the_stronger_counts() -> None:
    """A channel in which the digit hardly shows does not replace the one in which it does."""
    coverage = seven(80, (20, 20), (120, 120))
    clear = (200 - 150 * coverage).astype(np.float32)
    other = np.full((120, 120), 200, np.float32)
    other[60:64, 60:64] -= 40
    read, alone = ink_of([other, clear]), ink_of([clear])
    assert read is not None
    assert alone is not None
    np.testing.assert_array_equal(read, alone)


@pytest.mark.parametrize(
    ("picture", "count"),
    [
        (Image.new("L", (30, 20), 7), 1),
        (Image.new("RGB", (30, 20), (9, 9, 9)), 1),
        (Image.new("RGB", (30, 20), (200, 9, 9)), 4),
        (Image.new("LA", (30, 20), (7, 100)), 2),
        (Image.new("RGBA", (30, 20), (200, 9, 9, 128)), 8),
        (Image.new("I;16", (30, 20), 700), 1),
        (Image.new("F", (30, 20), 0.5), 1),
        (Image.new("1", (30, 20), 1), 1),
        (Image.new("LAB", (30, 20)), 1),
    ],
)
def test_a_picture_is_grey_in_each_way_its_ink_might_show(picture: Image.Image, count: int) -> None:
    """Colours by channel, transparency over black and over white; levels from 0 to 255, rows before columns."""
    found = greys(picture)
    assert len(found) == count
    for grey_levels in found:
        assert (grey_levels.shape, grey_levels.dtype) == ((20, 30), np.float32)
        assert 0 <= grey_levels.min() <= grey_levels.max() <= 255


@pytest.mark.parametrize(
    ("level", "shown"), [(0.5, 127.5), (1.0, 255.0), (200.0, 200.0), (65535.0, 255.0), (-3.0, 0.0)]
)
def test_floats_are_read_as_parts_bytes_or_words(level: float, shown: float) -> None:
    """Up to 1 as parts of the whole, up to 255 as they are, above as 16 bits; nothing is below black."""
    picture = Image.fromarray(np.full((4, 4), level, np.float32))
    assert greys(picture)[0] == pytest.approx(shown, rel=0.005)


def test_a_large_picture_is_averaged_down() -> None:
    """To less than 512 pixels a side, whatever its mode."""
    for mode in ("L", "P", "I", "1", "RGB"):
        (first, *_) = greys(Image.new(mode, (2000, 600), 1))
        assert 256 <= max(first.shape) < 512
        assert first.shape[1] > 3 * first.shape[0]


def test_a_picture_is_turned_as_its_camera_says() -> None:
    """The orientation in its metadata counts."""
    picture = Image.new("L", (30, 20), 50)
    picture.getexif()[0x0112] = 6
    assert greys(picture)[0].shape == (30, 20)


def test_a_picture_costs_no_more_than_the_thread_that_reads_it() -> None:
    """No other thread spins meanwhile: least squares over BLAS threads took three times the processor time."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) < 1.3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (90, 70)])
def test_uneven_paper_is_no_ink(size: tuple[int, int]) -> None:
    """A page that is only lit from one side holds no ink, a page of a single line or column included."""
    height, width = size
    page = 60 + 90 * np.linspace(0, 1, height)[:, None] * np.linspace(0, 1, width)
    assert ink_of(greys(Image.fromarray(page.astype(np.uint8)))) is None
