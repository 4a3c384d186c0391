"""The task ``scores``: values as they are, such as a voice detector's, a wake word's, a quality, or several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.reading import AGAIN, are_shares, sigmoid, taken, values_of
from partway.tasks.arrays.wording import label_of, rounded, short
from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
MOST_SHOWN = 5
MOST_LABELS = 10_000
FEW_VALUES = 8


@dataclass(frozen=True, slots=True)
class Scores:
    """Values float64 [n] in the model's order; ``labels`` may be fewer."""

    values: Array
    labels: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``scores``: label, index and score of each; a score that is no number is None."""
        return {
            "scores": [
                {"label": label_of(self.labels, index), "index": index, "score": rounded(value, 6)}
                for index, value in enumerate(self.values.tolist())
            ]
        }

    @property
    def line(self) -> str:
        """An only value, with its label if it has one; else the largest with labels or numbers."""
        if len(self.values) == 1:
            named = f"{short(self.labels[0])} " if self.labels else ""
            return f"{named}{self.values[0]:.2f}"
        order = np.argsort(-np.nan_to_num(self.values, nan=-np.inf), kind="stable")[:MOST_SHOWN].tolist()
        more = ", …" if len(self.values) > MOST_SHOWN else ""
        return ", ".join(f"{short(label_of(self.labels, i))} {self.values[i]:.2f}" for i in order) + more


class Score:
    """Reads values. ``raw``: a sigmoid makes them 0 to 1."""

    name = "scores"

    def __init__(self, value: str, raw: bool, labels: Sequence[str]) -> None:
        self._value, self._raw, self._labels = value, raw, tuple(labels)

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Scores:
        """The values in the model's order. Raises InputError if there are none."""
        flat = {name: np.asarray(array).reshape(-1) for name, array in outputs.items() if name == self._value}
        values = taken(flat or outputs, self._value, 1)
        if not len(values):
            raise InputError(f"output {self._value!r} is empty, it gives no score; {AGAIN}")
        return Scores((sigmoid(values) if self._raw else values).astype(np.float64), self._labels)

    def agreement(self, result: Scores, reference: Scores) -> float:
        """1 minus the mean absolute difference, at least 0. Values that are no numbers agree with each other only."""
        if len(result.values) != len(reference.values):
            return 0.0
        known, wanted = np.isfinite(result.values), np.isfinite(reference.values)
        same = np.where(np.isnan(result.values), np.isnan(reference.values), result.values == reference.values)
        with np.errstate(invalid="ignore"):
            difference = np.abs(result.values - reference.values)
        errors = np.where(known & wanted, difference, np.where(same, 0.0, 1.0))
        return float(max(0.0, 1 - errors.mean()))

    def draw(self, picture: Image, result: Scores) -> Image:
        """The values in the picture's upper left corner."""
        from partway.tasks.arrays.canvas import Canvas

        canvas = Canvas(picture)
        canvas.label((0, 0), result.line, 0)
        return canvas.picture


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Score:
    value = values_of(output, ("value",), [spec.name for spec in outputs])["value"]
    return Score(value, bool(output.get("sigmoid")), [str(label) for label in output.get("labels") or ()])


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """A single number; or a vector of 0 to 1 that does not sum up to 1, as several labels may hold at once.

    A few values of any size may be scores where the input is no picture. Beside outputs of three and more axes, which
    may be a state, an only small vector counts, too.
    """
    small = [
        name for name, array in outputs.items() if array.ndim < 3 and 0 < array.size == max(array.shape, default=1)
    ]
    if len(small) != 1 or any(array.ndim < 3 for name, array in outputs.items() if name not in small):
        return None
    name, values = small[0], outputs[small[0]]
    entry = {"kind": "scores", "value": name, "classes": int(values.size)}
    if values.size == 1:
        return Guess(entry, "an output of one number", len(outputs) == 1, likely=0.8)
    if values.size > MOST_LABELS or (are_shares(values) and abs(float(values.sum(dtype=np.float64)) - 1) < 1e-3):
        return None
    if are_shares(values):
        return Guess(entry, f"{values.size} values of 0 to 1 that do not sum up to 1", likely=0.6)
    few = values.size <= FEW_VALUES and input_size is None
    return Guess(entry, f"{values.size} values, and the input is no picture", likely=0.4) if few else None


def _named(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """An only vector, of any values."""
    vectors = {name: array for name, array in outputs.items() if 0 < array.size == max(array.shape, default=1)}
    if len(vectors) != 1:
        return None
    name, array = next(iter(vectors.items()))
    entry = {"kind": "scores", "value": name, "classes": int(array.size)}
    return Guess(entry, f"{array.size} values", likely=0.1)


ENTRY = TaskEntry(_make, _recognise, "values as they are, without a softmax", named=_named)
