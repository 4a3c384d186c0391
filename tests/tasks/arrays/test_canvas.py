"""Drawing."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from partway.tasks.arrays.canvas import Canvas, colour


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_the_original_stays_as_it_is(mode: str) -> None:
    """A canvas is a copy, in colour."""
    picture = Image.new(mode, (80, 60))
    canvas = Canvas(picture)
    canvas.box((10, 20, 40, 50), "a label", 0)
    assert canvas.picture.getpixel((10, 50)) == colour(0)
    assert picture.getextrema() == Image.new(mode, (80, 60)).getextrema()


def test_things_outside_or_without_area_do_no_harm() -> None:
    """Boxes at the borders, swapped corners, a picture of one pixel."""
    for size in ((1, 1), (80, 60)):
        canvas = Canvas(Image.new("RGB", size))
        canvas.box((-50, -50, 500, 500), "outside", 3)
        canvas.box((9, 9, 3, 3), "swapped", 4)
        canvas.polygon([(0, 0), (5, 90)], "线", 5)
        canvas.dot(-3, 4, 1)
        canvas.bone((0, 0), (5, 5), 2)
        canvas.mask(np.ones((70, 70), bool), 0)
        assert canvas.picture.size == size


def test_small_dots_leave_more_of_the_picture() -> None:
    """Hundreds of points do not cover what they mark."""
    covered = []
    for small in (False, True):
        canvas = Canvas(Image.new("RGB", (480, 480), "white"))
        canvas.dot(240, 240, 0, small)
        covered.append(int((np.asarray(canvas.picture) != 255).any(-1).sum()))
    assert 0 < covered[1] < covered[0] / 2


def test_a_mask_is_half_transparent() -> None:
    """Half the picture, half the class's colour, only inside."""
    canvas = Canvas(Image.new("RGB", (4, 2), "white"))
    canvas.mask(np.array([[True, False, False, False], [False] * 4]), 1)
    assert canvas.picture.getpixel((0, 0)) == tuple(int(127.5 + c / 2) for c in colour(1))
    assert canvas.picture.getpixel((1, 0)) == (255, 255, 255)


def test_labels_are_drawn_without_freetype() -> None:
    """The slim images leave it out; letters that the bitmap font lacks become question marks."""
    program = """
import sys
sys.modules["PIL._imagingft"] = None
from PIL import Image
from partway.tasks.arrays.canvas import Canvas
canvas = Canvas(Image.new("RGB", (200, 100), "gray"))
canvas.box((10, 30, 60, 60), "caf\u00e9 \u6f22\u5b57 0.93", 0)
print(sum(colour == (255, 255, 255) for colour in canvas.picture.getdata()) > 20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
