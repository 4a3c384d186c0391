"""Which picture an answer is drawn on."""

from pathlib import Path

import numpy as np

from partway.edge.sources.files import Sample
from partway.edge.sources.originals import with_picture, without_picture
from partway.tasks.interface import Geometry

PIXELS = np.zeros((4, 6, 3), np.uint8)


def test_the_models_pixels_serve_where_they_are_the_whole_picture() -> None:
    """Not if they are a part or a scaled copy of it: boxes are in the original's pixels."""
    assert with_picture(Sample("a", PIXELS)).original is PIXELS
    assert with_picture(Sample("a", PIXELS, geometry=Geometry(6, 4, 6, 4))).original is PIXELS
    assert with_picture(Sample("a", PIXELS, geometry=Geometry(12, 8, 6, 4, 0.5, 0.5))).original is None
    assert with_picture(Sample("a", values={})).original is None


def test_the_original_comes_first() -> None:
    """A path or an array that the source gave stays."""
    for original in (Path("a.png"), np.ones((8, 12, 3), np.uint8)):
        assert with_picture(Sample("a", PIXELS, original=original)).original is original


def test_only_pictures_in_memory_are_dropped() -> None:
    """A path costs nothing."""
    assert without_picture(Sample("a", PIXELS, original=PIXELS)).original is None
    assert without_picture(Sample("a", PIXELS, original=Path("a.png"))).original == Path("a.png")
    sample = Sample("a", PIXELS)
    assert without_picture(sample) is sample
