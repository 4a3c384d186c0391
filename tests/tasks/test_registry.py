"""Tasks are found by name."""

import pytest

from partway.errors import InputError
from partway.tasks.interface import OutputSpec
from partway.tasks.registry import TASKS, guesses, task_of

CLASSES = [OutputSpec("y", "float32", (None, 10))]


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


def test_a_vector_of_scores_may_be_classes() -> None:
    """A guess tells its reason."""
    assert [(guess.output["kind"], guess.reason) for guess in guesses(CLASSES, None)] == [
        ("classify", "one output of 10 values")
    ]
