"""Strings of CTC outputs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.errors import InputError
from partway.tasks.heads.text.ctc import best_path, characters

Array = np.ndarray[Any, Any]


def _shares(path: list[int], classes: int = 4) -> Array:
    return np.eye(classes)[path] * 0.8 + 0.2 / classes


def test_repetitions_count_once_and_blanks_part_them() -> None:
    """Blank first, as in PaddleOCR, or last."""
    assert best_path(_shares([0, 1, 1, 0, 1, 2, 2, 0]), 0)[0] == [1, 1, 2]
    assert best_path(_shares([3, 1, 1, 3, 1, 2, 2, 3]), 3)[0] == [1, 1, 2]


@given(st.lists(st.integers(1, 5)), st.lists(st.integers(1, 3), min_size=1))
def test_any_string_comes_back(wanted: list[int], holds: list[int]) -> None:
    """However long each character stays; equal neighbours have a blank between."""
    path: list[int] = []
    for place, one in enumerate(wanted):
        path += [0] if path and path[-1] == one else []
        path += [one] * holds[place % len(holds)]
    assert best_path(_shares([*path, 0], 6), 0)[0] == wanted


def test_the_score_is_the_mean_of_the_characters() -> None:
    """Each counts at its first step; no string has score 0."""
    shares = np.array([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2]])
    assert best_path(shares, 0) == ([1], 0.9)
    assert best_path(shares[2:], 0) == ([], 0.0)
    assert best_path(np.zeros((0, 5)), 0) == ([], 0.0)


def test_steps_that_are_no_numbers_are_blank() -> None:
    """They part a repetition, too."""
    shares = _shares([1, 0, 1])
    shares[1] = np.nan
    assert best_path(shares, 0)[0] == [1, 1]


@pytest.mark.parametrize(
    ("labels", "blank", "wanted"),
    [
        ("ab", 0, ["", "a", "b", " "]),
        ("abc", 0, ["", "a", "b", "c"]),
        ("abc", -1, ["a", "b", "c", ""]),
        ("_abc", 0, ["", "a", "b", "c"]),
    ],
)
def test_files_with_and_without_blank_and_space_fit(labels: str, blank: int, wanted: list[str]) -> None:
    """PaddleOCR's files have neither."""
    assert characters(list(labels), 4, blank) == wanted


def test_another_number_of_characters_is_refused() -> None:
    """Both numbers are named."""
    with pytest.raises(InputError, match=r"5 labels do not fit a model of 4 classes.* 3 lines, or 2"):
        characters(list("abcde"), 4, 0)
