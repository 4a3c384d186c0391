"""How much of the exact answers coded frames keep, by the model's task: equal classes, F1 of boxes, equal text, …

Codecs in calibration, int8 stages and audits in production are judged by it, so that a budget means the same for all
tasks. A frame counts by how many things both answers hold: over all frames the F1 of boxes is then that of all boxes.
Frames in which neither answer holds anything, for example no box, do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.partitioner.plan.answer import AnswerReader
from partway.tasks.classify import Classes
from partway.tasks.interface import Result
from partway.tasks.tensors import Tensors

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreements of frames: the weighted sum, the sum of the weights, and how many frames have a weight."""

    total: float
    weight: float
    frames: int

    @property
    def mean(self) -> float | None:
        """0 to 1; None if no frame tells anything."""
        return self.total / self.weight if self.weight else None


class Answers:
    """The exact answers to some frames. Raises InputError if the plan's task cannot read them."""

    def __init__(self, reader: AnswerReader, exact: Iterable[Outputs]) -> None:
        self._reader = reader
        self._results: Sequence[Result] = [reader.result(outputs) for outputs in exact]

    def agreement(self, found: Sequence[Outputs]) -> Agreement:
        """Compare the answers to the coded frames, in the same order."""
        compared = [self._one(outputs, right) for outputs, right in zip(found, self._results, strict=True)]
        weights = [weight for _, weight in compared]
        return Agreement(
            sum(share * weight for share, weight in compared), sum(weights), sum(weight > 0 for weight in weights)
        )

    def _one(self, outputs: Outputs, right: Result) -> tuple[float, float]:
        """The agreement of a frame, 0 to 1, and its weight."""
        try:
            result = self._reader.result(outputs)
            share, weight = float(self._reader.task.agreement(result, right)), _size(result) + _size(right)
        except Exception:  # of damaged values a task raises many kinds; nothing of the answer is kept then
            return 0.0, max(_size(right), 1.0)
        return (min(max(share, 0.0), 1.0) if np.isfinite(share) else 0.0), weight


def _size(result: Result) -> float:
    """Half the number of things that an answer holds: boxes, lines of text, masks; one thing for a class or tensors."""
    if isinstance(result, Classes | Tensors):
        return 0.5
    count = len(result) if isinstance(result, Sized) else _entries(result.to_json())
    return count / 2


def _entries(answer: Mapping[str, Any]) -> int:
    return sum(len(value) if isinstance(value, list | Mapping) else 1 for value in answer.values())
