"""The task ``text``: strings of CTC outputs, or where lines of text lie, of probability maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.boxes import f1, matched, overlaps
from partway.tasks.arrays.reading import AGAIN, are_shares, number, size_of, softmax, taken, values_of
from partway.tasks.arrays.wording import rounded, short
from partway.tasks.heads.text.ctc import best_path, characters
from partway.tasks.heads.text.db import Thresholds, lines_of_text
from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
SAME_REGION = 0.5
LEAST_CHARACTERS = 11
PADDLE_NAMES = ("sigmoid_0.tmp", "save_infer_model", "fetch_name_0")
"""In the names of outputs that Paddle's exporters give; its models of one map find text."""
MOSTLY_BLANK = 0.5
"""Scores that are no probabilities have to be mostly blank, of a wide picture or of none."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text: its string ("" if only its place is known), score, and corners [4, 2] in the picture's pixels."""

    text: str
    score: float
    polygon: Array | None = None

    def to_json(self) -> dict[str, Any]:
        """``text``, ``score``, and ``polygon`` as a list of [x, y] if the place is known."""
        found: dict[str, Any] = {"text": self.text, "score": rounded(self.score)}
        if self.polygon is not None:
            found["polygon"] = [[round(float(x), 1), round(float(y), 1)] for x, y in self.polygon]
        return found


@dataclass(frozen=True, slots=True)
class Texts:
    """Lines of text in reading order."""

    lines: tuple[Line, ...]

    def to_json(self) -> dict[str, Any]:
        """``text``: each line."""
        return {"text": [line.to_json() for line in self.lines]}

    @property
    def line(self) -> str:
        """The strings with their scores, or how many lines there are."""
        known = [line for line in self.lines if line.text]
        if known:
            return short(" | ".join(line.text for line in known)) + f" {min(line.score for line in known):.2f}"
        places = len(self.lines)
        return f"{places} line{'s' if places > 1 else ''} of text" if places else "no text"


class _Text:
    name = "text"

    def draw(self, picture: Image, result: Texts) -> Image:
        """Outlines and strings; a string without a place stands in the upper left corner."""
        from partway.tasks.arrays.canvas import Canvas

        canvas = Canvas(picture)
        for row, line in enumerate(result.lines):
            if line.polygon is None:
                canvas.label((0, 0), short(line.text), row)
            else:
                canvas.polygon(line.polygon.tolist(), short(line.text), row)
        return canvas.picture


class Strings(_Text):
    """Reads one string of a CTC output [steps, classes]."""

    def __init__(self, value: str, blank: int, classes: int, raw: bool, labels: Sequence[str]) -> None:
        self._value, self._classes, self._raw = value, classes, raw
        self._blank = blank % classes
        self._characters = characters(labels, classes, self._blank) if labels else None

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Texts:
        """The likeliest string; without a characters file the numbers of the classes. No line if it is empty."""
        array = np.asarray(outputs.get(self._value, ()))
        if array.ndim == 3 and array.shape[1] == 1:
            outputs = {self._value: array[:, 0]}
        shares = taken(outputs, self._value, 2, self._classes)
        classes, score = best_path(softmax(shares) if self._raw else shares, self._blank)
        known = self._characters
        text = "".join(known[i] for i in classes) if known else " ".join(str(i) for i in classes)
        return Texts((Line(text, score),) if text else ())

    def agreement(self, result: Texts, reference: Texts) -> float:
        """The share of equal strings."""
        pairs = max(len(result.lines), len(reference.lines))
        same = sum(a.text == b.text for a, b in zip(result.lines, reference.lines, strict=False))
        return same / pairs if pairs else 1.0


class Places(_Text):
    """Reads where lines of text are, of a probability map [height, width]."""

    def __init__(self, value: str, limits: Thresholds, size: tuple[int, int] | None) -> None:
        self._value, self._limits, self._size = value, limits, size

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Texts:
        """The lines of text in reading order."""
        array = np.asarray(outputs.get(self._value, ()))
        if array.ndim == 4 and array.shape[-1] == 1:
            outputs = {self._value: array[..., 0]}
        shares = taken(outputs, self._value, 2)
        size = (geometry.input_height, geometry.input_width) if geometry else self._size or shares.shape
        scale = np.array([size[1], size[0]]) / np.maximum(shares.shape[::-1], 1)
        found = []
        for corners, score in lines_of_text(shares, self._limits):
            polygon = corners * scale
            found.append(Line("", score, geometry.to_picture(polygon) if geometry else polygon))
        return Texts(tuple(found))

    def agreement(self, result: Texts, reference: Texts) -> float:
        """F1 of the lines' upright outlines at an overlap of 0.5."""
        similar = overlaps(_upright(result), _upright(reference))
        return f1(len(matched(similar, SAME_REGION)), len(result.lines), len(reference.lines))


def _upright(texts: Texts) -> Array:
    polygons = [line.polygon for line in texts.lines if line.polygon is not None]
    return np.array([[*polygon.min(0), *polygon.max(0)] for polygon in polygons]).reshape(-1, 4)


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Strings | Places:
    value = values_of(output, ("value",), [spec.name for spec in outputs])["value"]
    head = output.get("head", "ctc")
    if head == "db":
        usual = Thresholds()
        pixel, score = number(output, "pixel", usual.pixel), number(output, "score", usual.score)
        grow = number(output, "grow", usual.grow, 0, 10)
        return Places(value, Thresholds(pixel, score, grow, bool(output.get("join", True))), size_of(output))
    if head != "ctc":
        raise InputError(f"unknown head {head!r} of the task text; known: ctc, db; {AGAIN}")
    shape = next(spec.shape for spec in outputs if spec.name == value)
    classes = int(number(output, "classes", (shape[-1] if shape else None) or 0, 0, 1e6))
    if classes < 2:
        raise InputError(f"the plan's output entry says not how many classes {value!r} has; {AGAIN}")
    blank = int(number(output, "blank", 0, -1, classes - 1))
    labels = [str(label) for label in output.get("labels") or ()]
    return Strings(value, blank, classes, bool(output.get("softmax")), labels)


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """One output: [1, steps, classes] whose steps sum up to 1, or a map [1, 1, height, width] of 0 to 1."""
    if len(outputs) != 1:
        return None
    name, array = next(iter(outputs.items()))
    return (
        _ctc(name, array, input_size) if array.ndim == 3 else _map(name, array, input_size) if array.ndim == 4 else None
    )


def _ctc(name: str, array: Array, input_size: tuple[int, int] | None) -> Guess | None:
    if 1 not in array.shape[:2] or array.dtype.kind != "f":
        return None
    steps = array.reshape(-1, array.shape[-1])
    if len(steps) < 2 or array.shape[-1] < LEAST_CHARACTERS or not np.isfinite(steps).all():
        return None
    classes = array.shape[-1]
    sums_up = are_shares(steps) and bool(np.abs(steps.sum(1, dtype=np.float64) - 1).max() < 1e-2)
    most = np.bincount(steps.argmax(1), minlength=classes)
    blank = classes - 1 if most[-1] > most[0] else 0
    wide = input_size is None or 2 * input_size[0] <= input_size[1]
    if not sums_up and not (wide and most[blank] >= MOSTLY_BLANK * len(steps)):
        return None
    entry = {"kind": "text", "head": "ctc", "value": name, "classes": classes, "blank": blank, "softmax": not sums_up}
    reason = f"{len(steps)} steps of {classes} {'probabilities' if sums_up else 'scores'}, the blank is class {blank}"
    return Guess(entry, reason, sums_up and most[blank] > 0, likely=0.6 if sums_up else 0.4)


def _map(name: str, array: Array, input_size: tuple[int, int] | None) -> Guess | None:
    planes = array[0, 0] if array.shape[:2] == (1, 1) else array[0, ..., 0] if array.shape[::3] == (1, 1) else None
    if planes is None or input_size is None or not are_shares(planes):
        return None
    if planes.shape != tuple(input_size):
        return None
    entry = {"kind": "text", "head": "db", "value": name, "size": list(input_size)}
    paddle = any(part in name for part in PADDLE_NAMES)
    reason = "a map of 0 to 1 as large as the input; it may mark text" + (", as PaddleOCR's do" if paddle else "")
    return Guess(entry, reason, likely=0.5 if paddle else 0.3)


ENTRY = TaskEntry(_make, _recognise, "strings, or where lines of text are")
