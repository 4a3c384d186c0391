"""The task ``detect``: boxes with a class and a score, in pixels of the original picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError, MissingPackage
from partway.plugins import did_you_mean
from partway.tasks.arrays.boxes import areas, f1, matched, overlaps
from partway.tasks.arrays.reading import AGAIN, size_of, values_of
from partway.tasks.arrays.wording import counted, label_of, rounded, short
from partway.tasks.heads.head import Head, Reading
from partway.tasks.heads.limits import Limits
from partway.tasks.heads.table import HEADS
from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
SAME_OBJECT = 0.5


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one frame, best first. ``xyxy`` float64 [n, 4]: left, top, right, bottom in the picture's pixels.

    ``scores`` float64 [n], ``classes`` int64 [n], ``labels`` their names, ``keypoints`` None or float64 [n, k, 3] with
    x, y and visibility.
    """

    xyxy: Array
    scores: Array
    classes: Array
    labels: tuple[str, ...]
    keypoints: Array | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    def to_json(self) -> dict[str, Any]:
        """``boxes``: corners in pixels, score, label and class index of each; ``keypoints`` where there are any."""
        return {"boxes": [self._one(row) for row in range(len(self))]}

    def _one(self, row: int) -> dict[str, Any]:
        corners = {key: round(float(v), 2) for key, v in zip(("x1", "y1", "x2", "y2"), self.xyxy[row], strict=True)}
        entry: dict[str, Any] = {
            **corners,
            "score": rounded(self.scores[row]),
            "label": self.labels[row],
            "index": int(self.classes[row]),
        }
        if self.keypoints is not None:
            entry["keypoints"] = [[rounded(x, 2), rounded(y, 2), rounded(v)] for x, y, v in self.keypoints[row]]
        return entry

    @property
    def line(self) -> str:
        """How many of which class with their scores."""
        return counted(zip(self.labels, self.scores.tolist(), strict=True))

    def to_supervision(self) -> Any:
        """``supervision.Detections``. Raises MissingPackage if that package is not installed."""
        try:
            import supervision
        except ImportError as error:
            raise MissingPackage("supervision is not installed; run `pip install supervision`") from error
        return supervision.Detections(
            xyxy=self.xyxy.astype(np.float32),
            confidence=self.scores.astype(np.float32),
            class_id=self.classes.astype(int),
            data={"class_name": np.array(self.labels, dtype=str)},
        )


class Detect:
    """Reads boxes by a head of the table."""

    name = "detect"

    def __init__(self, head: Head, reading: Reading, limits: Limits, labels: Sequence[str]) -> None:
        self._head, self._reading, self._limits, self._labels = head, reading, limits, labels

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Boxes:
        """The boxes above the thresholds; those outside the picture are left out."""
        with np.errstate(all="ignore"):  # what overflows or is no number becomes no box
            found = self._head.read(outputs, resized(self._reading, geometry))
            rows, scores, classes = self._limits.select(found)
        boxes = found.boxes[rows].astype(np.float64)
        points = None if found.points is None else found.points[rows].astype(np.float64)
        if geometry is not None:
            boxes = geometry.to_picture(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
            if points is not None:
                points[..., :2] = geometry.to_picture(points[..., :2])
        inside = areas(boxes) > 0
        labels = tuple(label_of(self._labels, index) for index in classes[inside].tolist())
        return Boxes(boxes[inside], scores[inside], classes[inside], labels, None if points is None else points[inside])

    def agreement(self, result: Boxes, reference: Boxes) -> float:
        """F1 of boxes of equal class at an overlap of 0.5, matched by score."""
        return boxes_agreement(result, reference)

    def draw(self, picture: Image, result: Boxes) -> Image:
        """Boxes with label and score, and keypoints."""
        from partway.tasks.arrays.canvas import Canvas

        canvas = Canvas(picture)
        for row in reversed(range(len(result))):
            index = int(result.classes[row])
            canvas.box(result.xyxy[row], f"{short(result.labels[row])} {result.scores[row]:.2f}", index)
            for x, y, _ in [] if result.keypoints is None else result.keypoints[row]:
                canvas.dot(float(x), float(y), index + 1)
        return canvas.picture


def boxes_agreement(result: Boxes, reference: Boxes) -> float:
    """F1 at an overlap of 0.5: the better a box's score, the earlier it takes the nearest reference of its class."""
    similar = overlaps(result.xyxy, reference.xyxy)
    similar[result.classes[:, None] != reference.classes[None]] = 0
    return f1(len(matched(similar, SAME_OBJECT)), len(result), len(reference))


def resized(reading: Reading, geometry: Geometry | None) -> Reading:
    """The same for the input's size of this frame, which a model with open sizes may change."""
    return reading if geometry is None else replace(reading, known_size=(geometry.input_height, geometry.input_width))


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Detect:
    name = str(output.get("head", ""))
    head = HEADS.get(name)
    if head is None:
        raise InputError(f"unknown head {name!r}{did_you_mean(name, HEADS) or ';'} known: {', '.join(HEADS)}; {AGAIN}")
    values = values_of(output, head.roles, [spec.name for spec in outputs])
    reading = Reading(values, output, size_of(output))
    return Detect(
        head,
        reading,
        Limits.of(output, head.score, head.iou),
        [str(label) for label in output.get("labels") or head.labels],
    )


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    """The heads of the table that fit, certain ones first; several leave a doubt."""
    found = [guess for head in HEADS.values() for guess in head.recognise(outputs, input_size)]
    found.sort(key=lambda guess: not guess.certain)
    if not found:
        return None
    if len(found) > 1:
        found = [replace(guess, certain=False) for guess in found]
    return replace(found[0], others=tuple(found[1:]))


ENTRY = TaskEntry(_make, _recognise, "boxes of objects or faces")
