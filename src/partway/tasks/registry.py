"""The tasks: those that ship with Partway and those that other installed packages add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from partway.plugins import Registry
from partway.tasks.interface import Guess, OutputSpec, Task, TaskEntry

Array = np.ndarray[Any, Any]
TASKS: Registry[TaskEntry] = Registry("partway.tasks", "task")
UNKNOWN = "tensors"
"""The task of a model whose outputs mean nothing known."""


MEASURES = {
    "classify": "equal class",
    "detect": "F1",
    "segment": "mean IoU",
    "pose": "OKS",
    "text": "equal text",
    "embed": "cosine",
    "scores": "1 - difference",
    "tensors": "1 - error",
}
"""What the agreement of the shipped tasks is."""


def measure_of(output: Mapping[str, Any]) -> str:
    """What the agreement of a plan's task is, in a word or two. Raises InputError for an unknown task."""
    kind = str(output.get("kind") or UNKNOWN)
    return TASKS.get(kind).measure or MEASURES.get(kind, "agreement")


def task_of(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Task:
    """The task of a plan's ``output`` entry. Raises InputError for an unknown task, or an entry that does not fit."""
    return TASKS.get(str(output.get("kind") or UNKNOWN)).make(output, outputs)


def guesses(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> list[Guess]:
    """Every reading that a model's outputs allow, certain ones first, then the likeliest. See ``TaskEntry.recognise``.

    Several readings by one task follow each other as guesses of their own.
    """
    found = [guess for entry in TASKS if (guess := entry.recognise(outputs, input_size)) is not None]
    apart = [replace(one, others=()) for guess in found for one in (guess, *guess.others)]
    return sorted(apart, key=lambda guess: (not guess.certain, -guess.likely))
