"""The task ``classify``: the likeliest classes of a picture or a sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.reading import AGAIN
from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry, only_vector

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
TOP = 3
FEW = 64
"""Below this many classes plain Python sorts faster than numpy."""
LEAST_CLASSES = 2
SUM_TOLERANCE = 1e-3
STEPS, ROUGH_TOLERANCE = 256, 0.1


@dataclass(frozen=True, slots=True)
class Classes:
    """The likeliest classes, best first: label, index, probability."""

    top: tuple[tuple[str, int, float], ...]

    def to_json(self) -> dict[str, Any]:
        """``top``; a probability that is no number is None."""
        return {
            "top": [
                {"label": label, "index": index, "probability": p if isfinite(p) else None}
                for label, index, p in self.top
            ]
        }

    @property
    def line(self) -> str:
        """The best class and its probability."""
        label, _, probability = self.top[0]
        return f"{label:<12} {probability * 100:5.1f} %"


class Classify:
    """Reads scores of classes. ``softmax``: they are not probabilities yet."""

    name = "classify"

    def __init__(self, value: str, softmax: bool = False, labels: Sequence[str] = ()) -> None:
        self.value, self._softmax, self._labels = value, softmax, list(labels)

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Classes:
        """The likeliest classes; among equals the first wins, as in argmax. Raises InputError if there are none."""
        if self.value not in outputs:
            raise InputError(f"the model has no output {self.value!r}, only {', '.join(outputs)}; {AGAIN}")
        scores = np.asarray(outputs[self.value], np.float64).reshape(-1)
        if not scores.size:
            raise InputError(f"output {self.value!r} is empty, it gives no class; {AGAIN}")
        if len(scores) < FEW:
            values: list[float] = scores.tolist()
            if self._softmax:
                values = _softmax(values)
            likeliest = sorted(range(len(values)), key=values.__getitem__, reverse=True)[:TOP]
        else:
            if self._softmax:
                with np.errstate(invalid="ignore"):  # infinite scores give no probability
                    scores = np.exp(scores - scores.max())
                    scores = scores / scores.sum()
            values, likeliest = scores.tolist(), np.argsort(-scores, kind="stable")[:TOP].tolist()
        return Classes(tuple([(self._label(i), i, values[i]) for i in likeliest]))

    def agreement(self, result: Classes, reference: Classes) -> float:
        """1 if the likeliest class is the same."""
        return float(result.top[0][1] == reference.top[0][1])

    def draw(self, picture: Image, result: Classes) -> Image:
        """The best class in the picture's upper left corner."""
        from partway.tasks.arrays.canvas import Canvas

        canvas = Canvas(picture)
        canvas.label((0, 0), " ".join(result.line.split()), result.top[0][1])
        return canvas.picture

    def _label(self, index: int) -> str:
        return self._labels[index] if index < len(self._labels) else str(index)


def _softmax(scores: list[float]) -> list[float]:
    most = max(scores)
    shares = [exp(score - most) for score in scores]
    total = sum(shares)
    return [share / total for share in shares]


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Classify:
    value = str(output.get("value", outputs[0].name))
    return Classify(value, bool(output.get("softmax", False)), [str(label) for label in output.get("labels", ())])


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """An only output of shape [1, classes]. Its scores may be anything else, too."""
    return _named(outputs) if len(outputs) == 1 else None


def _named(outputs: Mapping[str, Array]) -> Guess | None:
    """The only vector; its values are probabilities if they are positive and sum up to 1.

    Probabilities in 256 steps, of a quantised model, sum up to about 1.
    """
    if (found := only_vector(outputs, LEAST_CLASSES)) is None or found[1].shape[-1] != found[1].size:
        return None
    name, scores = found
    classes = scores.size
    values = np.nan_to_num(scores.astype(np.float64), nan=-1, posinf=2, neginf=-1)
    tolerance = ROUGH_TOLERANCE if bool((values * STEPS % 1 == 0).all()) else SUM_TOLERANCE
    probabilities = bool(values.min() >= 0 and values.max() <= 1 and abs(values.sum() - 1) < tolerance)
    softmax = not probabilities and scores.dtype.kind == "f"
    entry = {"kind": "classify", "value": name, "softmax": softmax, "classes": classes}
    reason = f"one output of {classes} {'scores' if softmax else 'probabilities'}"
    like_a_vector = bool((values < 0).any()) and abs(float(np.linalg.norm(values)) - 1) < ROUGH_TOLERANCE / 10
    return Guess(entry, reason, probabilities, likely=0.3 if like_a_vector else 0.5)


ENTRY = TaskEntry(_make, _recognise, "the likeliest classes", named=_named)
