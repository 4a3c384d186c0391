"""MediaPipe's landmark models: one vector of points in the input's pixels, and a score of its own.

The numbers of points and of values a point are those of the models that the package mediapipe ships: pose (33 points
and 6 for its own tracking; x, y, z, visibility, presence), hand (21; x, y, z) and face mesh (468, or 478 with irises).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.reading import AGAIN, number, taken
from partway.tasks.heads.head import Reading, Size
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Landmarks:
    """One model: values a point, the points that are for users, what they lie on, whether the score is a logit."""

    dimensions: int
    points: int
    label: str
    logit: bool = False


KNOWN = {
    195: Landmarks(5, 33, "person"),
    63: Landmarks(3, 21, "hand"),
    1404: Landmarks(3, 468, "face", True),
    1434: Landmarks(3, 478, "face", True),
}
"""By the length of the vector."""


def recognise(outputs: Mapping[str, Array], size: Size) -> Guess | None:
    """A vector of a known length and one single number. Of several vectors it is the one with the largest values:
    others have metres."""
    vectors = {name: array for name, array in outputs.items() if array.dtype.kind == "f" and array.size in KNOWN}
    scores = [name for name, array in outputs.items() if array.size == 1]
    if not vectors or not scores:
        return None
    name = max(vectors, key=lambda each: float(np.abs(np.nan_to_num(vectors[each])).max()))
    known = KNOWN[vectors[name].size]
    values = {"points": name, "score": scores[0]}
    entry = {"kind": "pose", "head": "landmarks", "values": values, "size": list(size), "labels": [known.label]}
    return Guess(entry, f"a vector of {known.points} landmarks of a {known.label} and a score", True)


def read(outputs: Mapping[str, Array], reading: Reading) -> tuple[Array, Array]:
    """Points [1, k, 3] x, y and score, and the scores [1]. Raises InputError for a vector of another length."""
    vector = taken(outputs, reading.values["points"], 1)
    known = KNOWN.get(vector.size)
    if known is None:
        raise InputError(f"output {reading.values['points']!r} has {vector.size} numbers, no known landmarks; {AGAIN}")
    score = float(taken(outputs, reading.values["score"], 1)[0])
    whole = 1 / (1 + np.exp(-np.clip(score, -50, 50))) if known.logit else np.clip(score, 0, 1)
    table = vector.reshape(-1, known.dimensions)[: known.points]
    visible = 1 / (1 + np.exp(-np.clip(table[:, 3], -50, 50))) if known.dimensions > 3 else np.full(len(table), whole)
    least = number(reading.options, "score", 0.0)
    return np.column_stack([table[:, :2], visible])[None], np.array([whole if whole >= least else -np.inf])
