"""Planes of the model's input in the picture's pixels."""

import numpy as np
import pytest

from partway.tasks.arrays.planes import identity, nearest, smooth, window_of
from partway.tasks.interface import Geometry

LETTERBOX = Geometry(8, 4, 4, 4, 0.5, 0.5, 0, 1)
"""A picture of 8 x 4 in the middle of a square of 4."""


def test_a_letterbox_s_border_is_cut_off() -> None:
    """Only the rows that the picture fills come back, twice as large."""
    plane = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(nearest(plane, LETTERBOX), plane[1:3].repeat(2, 0).repeat(2, 1))


def test_an_identity_changes_nothing() -> None:
    """Whole or in a window."""
    plane = np.random.default_rng(0).random((5, 7))
    np.testing.assert_array_equal(nearest(plane, identity((5, 7))), plane)
    np.testing.assert_allclose(smooth(plane, identity((5, 7))), plane)
    np.testing.assert_allclose(smooth(plane, identity((5, 7)), (2, 1, 6, 4)), plane[1:4, 2:6])


def test_between_values_it_is_linear() -> None:
    """A ramp of 4 values over 8 pixels; the ends stay level."""
    ramp = np.array([[0.0, 1, 2, 3]])
    found = smooth(ramp, Geometry(8, 1, 8, 1))[0]
    assert found.tolist() == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_a_smaller_plane_covers_the_input() -> None:
    """As prototypes and heatmaps do."""
    plane = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(nearest(plane, identity((4, 4))), plane.repeat(2, 0).repeat(2, 1))


def test_a_window_holds_whole_pixels_of_the_picture() -> None:
    """Rounded outwards, cut at the borders."""
    assert window_of(np.array([1.2, -3, 5.5, 99]), LETTERBOX) == (1, 0, 6, 4)
