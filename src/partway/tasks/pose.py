"""The task ``pose``: keypoints of persons or things, in pixels of the original picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.keypoints import COCO_NAMES, COCO_SKELETON, LEAST_VISIBLE, similarity
from partway.tasks.arrays.reading import AGAIN, number, size_of, values_of
from partway.tasks.arrays.wording import counted, label_of, rounded, short
from partway.tasks.detect import resized
from partway.tasks.heads.head import Reading
from partway.tasks.heads.poses.guess import recognise
from partway.tasks.heads.poses.table import HEADS, Found
from partway.tasks.interface import Geometry, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
MANY_POINTS = 100
"""More points than these, as in a face mesh, are drawn small."""


@dataclass(frozen=True, slots=True)
class Poses:
    """Poses of one frame, best first. ``points`` float64 [n, k, 3]: x, y in the picture's pixels, score.

    ``scores`` float64 [n], ``labels`` the class of each, ``boxes`` float64 [n, 4] or None, ``names`` of the points.
    """

    points: Array
    scores: Array
    labels: tuple[str, ...]
    boxes: Array | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def to_json(self) -> dict[str, Any]:
        """``keypoints``: of each pose its label, score, ``points`` as [x, y, score], and box where there is one."""
        return {"keypoints": [self._one(row) for row in range(len(self))]}

    def _one(self, row: int) -> dict[str, Any]:
        points = [[rounded(x, 2), rounded(y, 2), rounded(score)] for x, y, score in self.points[row].tolist()]
        found: dict[str, Any] = {"label": self.labels[row], "score": rounded(self.scores[row]), "points": points}
        if self.names:
            found["names"] = list(self.names)
        if self.boxes is not None:
            found["box"] = [rounded(value, 2) for value in self.boxes[row].tolist()]
        return found

    @property
    def line(self) -> str:
        """How many of which class with their scores."""
        return counted(zip(self.labels, self.scores.tolist(), strict=True))


class Pose:
    """Reads poses by a head of ``heads.poses``."""

    name = "pose"

    def __init__(self, head: str, reading: Reading, labels: Sequence[str]) -> None:
        self._head, self._reading, self._labels = HEADS[head], reading, labels or ["person"]
        self._least = number(reading.options, "score", self._head.score)

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Poses:
        """The poses above the threshold; points that are no numbers get a score of 0 in the picture's corner."""
        with np.errstate(all="ignore"):
            found = self._head.read(outputs, resized(self._reading, geometry))
        rows = (
            np.flatnonzero(found.scores >= self._least)
            if len(found.scores) > 1
            else np.flatnonzero(found.scores > -np.inf)
        )
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        points = found.points[rows].astype(np.float64)
        points[~np.isfinite(points).all(-1)] = 0
        boxes = None if found.boxes is None else found.boxes[rows].astype(np.float64)
        if geometry is not None:
            points[..., :2] = geometry.to_picture(points[..., :2])
            boxes = None if boxes is None else geometry.to_picture(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        labels = self._names(found, rows)
        names = COCO_NAMES if points.shape[1] == len(COCO_NAMES) else ()
        return Poses(points, found.scores[rows].astype(np.float64), labels, boxes, names)

    def _names(self, found: Found, rows: Array) -> tuple[str, ...]:
        classes = [0] * len(rows) if found.classes is None else found.classes[rows].tolist()
        return tuple(label_of(self._labels, index) for index in classes)

    def agreement(self, result: Poses, reference: Poses) -> float:
        """Mean object keypoint similarity of poses matched by score; unmatched ones count 0."""
        return poses_agreement(result, reference)

    def draw(self, picture: Image, result: Poses) -> Image:
        """Points, COCO's skeleton between 17 of them, and boxes."""
        from partway.tasks.arrays.canvas import Canvas

        canvas = Canvas(picture)
        for row in range(len(result)):
            points = result.points[row]
            visible = points[:, 2] >= LEAST_VISIBLE
            for start, end in COCO_SKELETON if len(points) == len(COCO_NAMES) else ():
                if visible[start] and visible[end]:
                    canvas.bone(points[start, :2].tolist(), points[end, :2].tolist(), row)
            for x, y, _ in points[visible].tolist():
                canvas.dot(x, y, row + 1, len(points) > MANY_POINTS)
            if result.boxes is not None:
                canvas.box(result.boxes[row].tolist(), f"{short(result.labels[row])} {result.scores[row]:.2f}", row)
        return canvas.picture


def poses_agreement(result: Poses, reference: Poses) -> float:
    """The sum of similarities over all poses of both; each pose in turn takes the most similar free reference."""
    free, total, pairs = list(range(len(reference))), 0.0, 0
    for row in range(len(result)):
        if not free:
            break
        boxes = reference.boxes
        similar = [
            similarity(result.points[row], reference.points[other], None if boxes is None else boxes[other])
            for other in free
        ]
        best = int(np.argmax(similar))
        if similar[best] > 0:
            total, pairs = total + similar[best], pairs + 1
            free.pop(best)
    everything = len(result) + len(reference) - pairs
    return total / everything if everything else 1.0


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> Pose:
    name = str(output.get("head", "heatmaps"))
    if name not in HEADS:
        raise InputError(f"unknown head {name!r} of the task pose; known: {', '.join(HEADS)}; {AGAIN}")
    values = values_of(output, HEADS[name].roles, [spec.name for spec in outputs])
    labels = [str(label) for label in output.get("labels") or ()]
    return Pose(name, Reading(values, output, size_of(output)), labels)


ENTRY = TaskEntry(_make, recognise, "keypoints")
