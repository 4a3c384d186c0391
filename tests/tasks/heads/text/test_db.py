"""Lines of text in a probability map."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from partway.tasks.heads.text.db import Thresholds, lines_of_text


def _map(angle: float = 0) -> "np.ndarray":
    """A bar of 60 x 8 pixels in the middle of 100 x 80."""
    bar = Image.new("L", (100, 80))
    ImageDraw.Draw(bar).rectangle((20, 36, 79, 43), fill=255)
    return np.asarray(bar.rotate(angle)) / 255


@pytest.mark.parametrize("angle", [0, 30, -10])
def test_a_bar_is_found_and_grown(angle: float) -> None:
    """Each side moves by area times ratio over perimeter."""
    ((corners, score),) = lines_of_text(_map(angle), Thresholds(join=False))
    sides = np.hypot(*(np.roll(corners, -1, 0) - corners).T)
    grow = 2 * 1.6 * 59 * 7 / (2 * (59 + 7))
    assert sorted(sides)[::2] == pytest.approx([7 + grow, 59 + grow], abs=2.5)
    assert corners.mean(0) == pytest.approx([49.5, 39.5], abs=0.7)
    assert score > 0.8


def test_weak_and_tiny_regions_are_left_out() -> None:
    """By their mean, and by their size."""
    shares = np.zeros((60, 60))
    shares[5:20, 5:50] = 0.4
    shares[40, 40] = 1
    assert lines_of_text(shares, Thresholds()) == []
    assert len(lines_of_text(shares, Thresholds(score=0.3))) == 1


def test_lines_come_in_reading_order() -> None:
    """From the top, then from the left."""
    shares = np.zeros((100, 100))
    for top, left in ((60, 5), (10, 60), (12, 5)):
        shares[top : top + 8, left : left + 30] = 1
    found = [tuple(np.round(corners.mean(0), -1)) for corners, _ in lines_of_text(shares, Thresholds())]
    assert found == [(20, 20), (80, 10), (20, 60)]


@pytest.mark.parametrize("shares", [np.zeros((0, 0)), np.full((9, 9), np.nan), np.full((9, 9), np.inf)])
def test_maps_that_say_nothing_are_read(shares: "np.ndarray") -> None:
    """No traceback, no warning."""
    assert [score for _, score in lines_of_text(shares, Thresholds())] in ([], [np.inf])


def test_a_full_map_is_one_line() -> None:
    """And a thousand dots are no more than the most."""
    assert len(lines_of_text(np.ones((50, 50)), Thresholds())) == 1
