"""How much of the exact answers coded frames keep, by the model's task: equal classes, F1 of boxes, equal text, …

Codecs in calibration, int8 stages and audits in production are judged by it, so that a budget means the same for all
tasks. Frames in which neither answer says anything, for example no box, tell nothing and do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.partitioner.plan.answer import AnswerReader
from partway.tasks.interface import Result
from partway.tasks.tensors import Tensors

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreements of the frames that tell something: their sum, and how many they are."""

    total: float
    frames: int

    @property
    def mean(self) -> float | None:
        """0 to 1; None if no frame tells anything."""
        return self.total / self.frames if self.frames else None


class Answers:
    """The exact answers to some frames. Raises InputError if the plan's task cannot read them."""

    def __init__(self, reader: AnswerReader, exact: Iterable[Outputs]) -> None:
        self._reader = reader
        self._results: Sequence[Result] = [reader.result(outputs) for outputs in exact]
        self._empty = [_says_nothing(result) for result in self._results]

    @property
    def informative(self) -> int:
        """How many of these answers say something."""
        return self._empty.count(False)

    def agreement(self, found: Sequence[Outputs]) -> Agreement:
        """Compare the answers to the coded frames, in the same order."""
        compared = [self._one(*three) for three in zip(found, self._results, self._empty, strict=True)]
        shares = [share for share in compared if share is not None]
        return Agreement(sum(shares), len(shares))

    def _one(self, outputs: Outputs, right: Result, empty: bool) -> float | None:
        try:
            result = self._reader.result(outputs)
            if empty and _says_nothing(result):
                return None
            share = float(self._reader.task.agreement(result, right))
        except Exception:  # of damaged values a task raises many kinds; nothing of the answer is kept then
            return 0.0
        return min(max(share, 0.0), 1.0) if np.isfinite(share) else 0.0


def _says_nothing(result: Result) -> bool:
    """Whether an answer is empty: no box, no text, no mask."""
    return not isinstance(result, Tensors) and not any(result.to_json().values())
