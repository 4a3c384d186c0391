"""A cut: names of values, compared and printed as data."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from partway.partitioner.plan.cut import Cut, cut_names
from partway.partitioner.plan.plan_file import load_plan


@pytest.mark.parametrize(("values", "text"), [(("relu_3",), "relu_3"), (("skip", "relu_3"), "skip + relu_3"), ((), "")])
def test_a_cut_prints_the_values_that_cross(values: tuple[str, ...], text: str) -> None:
    """As people write it for ``--cuts``."""
    assert str(Cut(values)) == text


def test_cuts_are_equal_by_their_values_in_order() -> None:
    """The same values are one key of a mapping; another order is another message on the wire."""
    assert {Cut(("a", "b")): 1}[Cut(("a", "b"))] == 1
    assert Cut(("a", "b")) != Cut(("b", "a"))


def test_a_cut_cannot_be_changed() -> None:
    """It is shared by plans and candidates."""
    with pytest.raises(FrozenInstanceError):
        Cut(("a",)).values = ("b",)  # type: ignore[misc]


def test_a_plan_file_keeps_its_cuts(fake_plan: Path) -> None:
    """All in the cloud and all on the device are cuts like the others."""
    assert load_plan(fake_plan).cuts == (Cut(("x",)), Cut(("a",)), Cut(("b",)), Cut(("y",)))


def test_a_cut_is_named_shortly_and_as_no_other() -> None:
    """Long names lose their middle, unless two would look alike; of many values some are counted."""
    long = ["block/" * 40 + "relu", "block/" * 20 + "other/" + "block/" * 20 + "relu"]
    first, second, many = cut_names([Cut((long[0],)), Cut((long[1],)), Cut(tuple("abcdefgh"))])
    assert first != second and "…" in first and len(second) < len(long[1])
    assert many == "a + b + c + d + 4 more"
    assert cut_names([Cut(tuple("abcde"))]) == ["a + b + c + d + e"]
