"""Tasks are found by name."""

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.arrays.grids import cells
from partway.tasks.interface import OutputSpec
from partway.tasks.registry import TASKS, guesses, task_of

CLASSES = [OutputSpec("y", "float32", (None, 4))]


@pytest.mark.parametrize("name", TASKS.own_names())
def test_each_task_has_a_help_text_and_its_own_name(name: str) -> None:
    """What ``--task`` lists."""
    assert TASKS.get(name).help


def test_a_plan_without_an_entry_passes_tensors_on() -> None:
    """Nothing is known."""
    assert task_of({}, CLASSES).name == "tensors"


def test_an_unknown_task_is_named() -> None:
    """With the names that exist."""
    with pytest.raises(InputError, match="unknown task 'klassify'; did you mean 'classify'"):
        task_of({"kind": "klassify"}, CLASSES)


@pytest.mark.parametrize(
    ("scores", "reason", "softmax"),
    [
        ([3, 1, -2, 5], "one output of 4 scores", True),
        ([0.5, 0.25, 0.125, 0.125], "one output of 4 probabilities", False),
    ],
)
def test_a_vector_of_scores_may_be_classes(scores: list[float], reason: str, softmax: bool) -> None:
    """A guess tells its reason."""
    found = guesses({"y": np.array([scores], np.float32)}, (8, 8))
    assert [(guess.output["kind"], guess.output["softmax"], guess.reason) for guess in found] == [
        ("classify", softmax, reason)
    ]


def test_certain_guesses_come_first_then_the_likeliest() -> None:
    """Several readings by one task are guesses of their own."""
    rng = np.random.default_rng(0)
    places, strides = cells((64, 64), (8, 16, 32))
    centres = (places + 0.5) * strides[:, None]
    table = np.concatenate([centres, rng.random((84, 2)) * 9, rng.random((84, 20))], 1)[None]
    found = guesses({"y": table.astype(np.float32)}, (64, 64))
    assert [(guess.output["head"], guess.certain, guess.others) for guess in found] == [
        ("yolov5", False, ()),
        ("yolov8", False, ()),
    ]
    certain = guesses({"y": table.astype(np.float32).transpose(0, 2, 1)}, (64, 64))
    assert [(guess.output["head"], guess.certain) for guess in certain] == [("yolov8", True)]
