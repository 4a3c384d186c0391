"""Lines for people."""

import pytest

from partway.tasks.arrays.wording import counted, label_of, plain, rounded, short


def test_classes_are_counted_by_their_best_score() -> None:
    """As in the documentation."""
    assert counted([("dog", 0.4), ("face", 0.98), ("face", 0.91)]) == "2 face 0.98 0.91, 1 dog 0.40"
    assert counted([]) == "nothing found"


def test_a_line_stays_short() -> None:
    """Many boxes and many classes are cut."""
    assert counted([("ant", 0.5)] * 100) == "100 ant 0.50 0.50 0.50 0.50 0.50 …"
    assert counted([(str(kind), 0.5) for kind in range(20)]).endswith("1 7 0.50, 12 more kinds")
    assert len(short("x" * 1000)) == 60


@pytest.mark.parametrize(("text", "written"), [("\x1b[2J\n", "\\x1b[2J\\n"), ("疗 é", "疗 é"), ("\ud800", "\\ud800")])
def test_control_characters_are_escaped(text: str, written: str) -> None:
    """A label cannot act on a terminal."""
    assert plain(text) == written


def test_a_class_without_a_name_is_its_number() -> None:
    """Negative ones, too."""
    assert [label_of(["a"], index) for index in (0, 1, -1)] == ["a", "1", "-1"]


def test_json_has_no_numbers_that_are_none() -> None:
    """They are null."""
    assert [rounded(value) for value in (0.123456, float("nan"), float("inf"))] == [0.1235, None, None]
