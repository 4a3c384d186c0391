"""Which candidates remain: thresholds and suppression, from a plan's ``output`` entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.tasks.arrays.boxes import suppressed
from partway.tasks.arrays.reading import number
from partway.tasks.heads.head import Candidates

Array = np.ndarray[Any, Any]
MOST = 300
MOST_CANDIDATES = 10_000
"""Of those above the threshold, so that a threshold of 0 does not make suppression slow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``agnostic``: a box suppresses those of other classes, too."""

    score: float
    iou: float
    most: int = MOST
    agnostic: bool = False

    @classmethod
    def of(cls, output: Mapping[str, Any], score: float, iou: float) -> Limits:
        """From a plan's ``output`` entry and a head's usual thresholds. Raises InputError for numbers out of range."""
        most = int(number(output, "most", MOST, 1, MOST_CANDIDATES))
        return cls(number(output, "score", score), number(output, "iou", iou), most, bool(output.get("agnostic")))

    def select(self, found: Candidates) -> tuple[Array, Array, Array]:
        """Indices of the candidates that remain, best first, their scores and classes.

        Candidates whose best score or box is no number do not remain.
        """
        best = np.fmax.reduce(found.scores, 1, initial=-np.inf)
        rows = np.flatnonzero((best >= self.score) & np.isfinite(best) & np.isfinite(found.boxes).all(1))
        scores = best[rows].astype(np.float64)
        if len(rows) > MOST_CANDIDATES:
            first = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
            rows, scores = rows[first], scores[first]
        if found.classes is None:
            classes = np.nan_to_num(found.scores[rows], nan=-np.inf).argmax(1) if len(rows) else np.zeros(0, np.int64)
        else:
            classes = found.classes[rows]
        if found.final:
            order = np.argsort(-scores, kind="stable")[: self.most]
        else:
            alike = np.zeros_like(classes) if self.agnostic else classes
            order = suppressed(found.boxes[rows], scores, alike, self.iou, self.most)
        return rows[order], scores[order], classes[order].astype(np.int64)
