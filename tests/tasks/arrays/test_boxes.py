"""Boxes: overlap, suppression, matching."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.tasks.arrays.boxes import areas, corners, f1, matched, overlaps, suppressed

Array = np.ndarray[Any, Any]
COORDINATES = st.integers(0, 40)


@st.composite
def some_boxes(draw: st.DrawFn, most: int = 25) -> Array:
    """Boxes of whole pixels; some have no area."""
    rows = draw(st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES, COORDINATES), max_size=most))
    return np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in rows], float).reshape(-1, 4)


def test_centre_and_sides_become_corners() -> None:
    """Left, top, right, bottom."""
    np.testing.assert_array_equal(corners(np.array([[10, 20, 4, 6.0]])), [[8, 17, 12, 23]])


@pytest.mark.parametrize(
    ("box", "other", "overlap"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [5, 0, 15, 10], 1 / 3),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0.0),
        ([5, 5, 0, 0], [0, 0, 10, 10], 0.0),
    ],
)
def test_overlap_is_intersection_over_union(box: list[int], other: list[int], overlap: float) -> None:
    """Boxes without area overlap nothing."""
    assert overlaps(np.array([box], float), np.array([other], float))[0, 0] == pytest.approx(overlap)


@given(some_boxes(), some_boxes())
def test_overlap_is_symmetric(boxes: Array, others: Array) -> None:
    """And between 0 and 1."""
    found = overlaps(boxes, others)
    np.testing.assert_allclose(found, overlaps(others, boxes).T)
    assert ((found >= 0) & (found <= 1)).all()


def _plainly_suppressed(boxes: Array, scores: Array, classes: Array, iou: float, most: int) -> list[int]:
    """The definition: go down the scores, keep what no kept box of its class overlaps too much."""
    kept: list[int] = []
    for one in sorted(range(len(boxes)), key=lambda row: -scores[row]):
        alike = [other for other in kept if classes[other] == classes[one]]
        if all(overlaps(boxes[[one]], boxes[[other]])[0, 0] <= iou for other in alike):
            kept.append(one)
    return kept[:most]


@settings(deadline=None)
@given(some_boxes(), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(1, 30))
def test_suppression_is_what_its_definition_says(boxes: Array, random: Any, iou: float, most: int) -> None:
    """Against a plain loop, with several classes and equal scores."""
    scores = np.array([random.randint(0, 5) for _ in boxes], float)
    classes = np.array([random.randint(0, 2) for _ in boxes], int)
    found = suppressed(boxes, scores, classes, iou, most)
    assert found.tolist() == _plainly_suppressed(boxes, scores, classes, iou, most)


def test_thousands_of_boxes_are_suppressed() -> None:
    """A tight pile of each class leaves one of each."""
    rng = np.random.default_rng(0)
    boxes = np.array([[10, 10, 60, 60]]) + rng.random((8400, 4))
    assert len(suppressed(boxes, rng.random(8400), np.arange(8400) % 3, 0.45, 300)) == 3


def test_each_row_takes_the_most_similar_free_column() -> None:
    """The first row chooses first."""
    assert matched(np.array([[0.6, 0.9], [0.7, 0.95], [0.2, 0.1]]), 0.5) == [(0, 1), (1, 0)]
    assert matched(np.zeros((2, 0)), 0.5) == []


def test_f1_of_nothing_wanted_and_nothing_found_is_one() -> None:
    """Else twice the pairs over all."""
    assert (f1(0, 0, 0), f1(0, 3, 0), f1(2, 3, 2)) == (1.0, 0.0, pytest.approx(0.8))


def test_areas_are_never_negative() -> None:
    """A box whose corners are swapped has none."""
    assert areas(np.array([[0, 0, 2, 3], [2, 0, 0, 3.0]])).tolist() == [6, 0]
