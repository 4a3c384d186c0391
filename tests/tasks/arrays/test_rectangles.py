"""The smallest rectangle around points."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.tasks.arrays.rectangles import convex_hull, smallest_around

Array = np.ndarray[Any, Any]
POINTS = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=1, max_size=20).map(
    lambda rows: np.array(rows, float)
)


@pytest.mark.parametrize("angle", [0, 15, 45, 80])
def test_a_turned_rectangle_is_found_again(angle: float) -> None:
    """Whatever its angle."""
    turn = math.radians(angle)
    axes = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    corners = np.array([[-30, -5], [30, -5], [30, 5], [-30, 5]]) @ axes + 50
    found = smallest_around(np.concatenate([corners, corners * 0.5 + 25]))
    assert sorted(found.sides) == pytest.approx([5, 30])
    np.testing.assert_allclose(sorted(found.corners.tolist()), sorted(corners.tolist()), atol=1e-6)


@settings(deadline=None)
@given(POINTS)
def test_it_holds_every_point_and_is_no_larger_than_the_upright_one(points: Array) -> None:
    """Single points and points in a line, too."""
    found = smallest_around(points)
    assert found.contains(points).all()
    assert 4 * found.sides.prod() <= np.ptp(points, axis=0).prod() + 1e-6


@settings(deadline=None)
@given(POINTS)
def test_no_point_is_outside_the_hull(points: Array) -> None:
    """All lie left of each of its edges."""
    hull = convex_hull(points)
    if len(hull) > 2:
        edges = np.roll(hull, -1, 0) - hull
        away = points[None] - hull[:, None]
        assert (edges[:, None, 0] * away[..., 1] - edges[:, None, 1] * away[..., 0] >= 0).all()


def test_corners_go_clockwise_from_the_upper_left() -> None:
    """And grow outwards."""
    found = smallest_around(np.array([[0, 0], [10, 0], [10, 4], [0, 4]]))
    assert found.grown(1).corners.round(6).tolist() == [[-1, -1], [11, -1], [11, 5], [-1, 5]]
