"""A user's labels and thresholds."""

from typing import Any

import pytest

from partway.errors import InputError
from partway.tasks.labels import labelled, with_options

DETECTOR = {"kind": "detect", "head": "yolov8", "classes": 3}
READER = {"kind": "text", "head": "ctc", "classes": 6, "blank": 0}


@pytest.mark.parametrize(
    ("output", "labels"),
    [
        (DETECTOR, ["a", "b", "c"]),
        ({"kind": "detect", "head": "lists"}, ["a", "b"]),
        ({"kind": "scores", "classes": 1}, ["speech"]),
        (READER, list("abcd")),
        (READER, list("abcde")),
    ],
)
def test_labels_that_fit_go_into_the_entry(output: dict[str, Any], labels: list[str]) -> None:
    """One a class; a head that does not say how many takes any; characters may lack blank and space."""
    assert labelled(output, labels) == {**output, "labels": labels}
    assert "labels" not in output


@pytest.mark.parametrize(
    ("output", "labels", "sentence"),
    [
        (DETECTOR, ["a", "b"], "2 labels do not fit a model of 3 classes; give 3, one a line"),
        ({"kind": "scores", "classes": 1}, ["a", "b"], "2 labels do not fit a model of 1 class;"),
        (READER, list("ab"), "2 labels do not fit a model of 6 classes"),
        (DETECTOR, [], "the labels file is empty"),
        ({"kind": "embed"}, ["a"], "the task embed has no labels"),
        ({}, ["a"], "the task tensors has no labels"),
        ({"kind": "text", "head": "db"}, ["a"], "the task text has no labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(output: dict[str, Any], labels: list[str], sentence: str) -> None:
    """With both numbers."""
    with pytest.raises(InputError, match=sentence):
        labelled(output, labels)


def test_thresholds_go_into_the_entry() -> None:
    """Those that are given, with labels at once."""
    assert with_options(DETECTOR) == DETECTOR
    assert with_options(DETECTOR, ["a", "b", "c"], score=0.4, iou=0.6, most=10) == {
        **DETECTOR, "labels": ["a", "b", "c"], "score": 0.4, "iou": 0.6, "most": 10
    }  # fmt: skip


@pytest.mark.parametrize(
    ("output", "options", "sentence"),
    [
        (DETECTOR, {"score": 1.5}, "score 1.5 must be between 0 and 1"),
        (DETECTOR, {"most": 0}, "most 0 must be between 1 and 10000"),
        (READER, {"iou": 0.5}, "the task text has no threshold 'iou'"),
        ({"kind": "classify"}, {"score": 0.5}, "the task classify has no threshold 'score'"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(output: dict[str, Any], options: Any, sentence: str) -> None:
    """Out of range, or of another task."""
    with pytest.raises(InputError, match=sentence):
        with_options(output, **options)
