"""Which candidates remain."""

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.heads.head import Candidates
from partway.tasks.heads.limits import MOST_CANDIDATES, Limits

BOXES = np.array([[0, 0, 10, 10], [0, 0, 10, 11], [50, 50, 60, 60.0]])


def _select(limits: Limits, **changes: object) -> tuple[list[int], list[float], list[int]]:
    found = Candidates(**{"boxes": BOXES, "scores": np.array([[0.5, 0.1], [0.8, 0.3], [0.2, 0.6]]), **changes})  # type: ignore[arg-type]
    rows, scores, classes = limits.select(found)
    return rows.tolist(), scores.tolist(), classes.tolist()


def test_the_best_class_of_each_counts() -> None:
    """Best first, without overlaps."""
    assert _select(Limits(0.25, 0.5)) == ([1, 2], [0.8, 0.6], [0, 1])
    assert _select(Limits(0.7, 0.5)) == ([1], [0.8], [0])
    assert _select(Limits(0.25, 0.5, most=1)) == ([1], [0.8], [0])


def test_a_model_that_suppresses_itself_is_left_alone() -> None:
    """Only sorted."""
    assert _select(Limits(0.25, 0.5), final=True)[0] == [1, 2, 0]


def test_classes_may_be_given() -> None:
    """Then there is one score."""
    given = {"scores": np.array([[0.5], [0.8], [0.6]]), "classes": np.array([7, 8, 9])}
    assert _select(Limits(0.25, 0.5), **given) == ([1, 2, 0], [0.8, 0.6, 0.5], [8, 9, 7])
    assert _select(Limits(0.25, 0.5, agnostic=True), **given) == ([1, 2], [0.8, 0.6], [8, 9])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_does_not_remain(bad: float) -> None:
    """In the box; in a class the others count."""
    boxes = BOXES.copy()
    boxes[1, 2] = bad
    assert _select(Limits(0.25, 0.5), boxes=boxes)[0] == [2, 0]
    scores = np.array([[np.nan, 0.9], [0.8, 0.3], [0.2, 0.1]])
    assert _select(Limits(0.25, 0.5), scores=scores) == ([0, 1], [0.9, 0.8], [1, 0])


def test_a_threshold_of_0_looks_at_the_best_only() -> None:
    """So that it stays fast."""
    many = np.zeros((MOST_CANDIDATES + 5, 4))
    many[:, 2:] = 1
    scores = np.linspace(0, 1, len(many))[:, None]
    rows, _, _ = Limits(0, 1.0).select(Candidates(many, scores))
    assert rows[:2].tolist() == [len(many) - 1, len(many) - 2]


def test_nothing_remains_of_nothing() -> None:
    """No classes, no boxes."""
    assert _select(Limits(0.1, 0.5), boxes=np.zeros((0, 4)), scores=np.zeros((0, 3))) == ([], [], [])
    assert _select(Limits(0.1, 0.5), scores=np.zeros((3, 0))) == ([], [], [])


def test_numbers_out_of_range_are_refused() -> None:
    """They come from a plan."""
    assert Limits.of({"most": 5, "agnostic": True}, 0.3, 0.4) == Limits(0.3, 0.4, 5, True)
    with pytest.raises(InputError, match="most 0 must be between"):
        Limits.of({"most": 0}, 0.3, 0.4)
