"""Detectors of faces: YuNet (three strides, five landmarks), UltraFace (boxes with priors applied), MTCNN's P-Net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.arrays.boxes import corners
from partway.tasks.arrays.grids import cells, counts
from partway.tasks.arrays.reading import AGAIN, are_shares, same_rows, taken
from partway.tasks.heads.head import Candidates, Head, Reading, Size, guess, rows
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
STRIDES = (8, 16, 32)
PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
LABELS = ("face",)
PNET_STRIDE, PNET_CELL = 2, 12


def _role(part: str, stride: int) -> str:
    return f"{part}_{stride}"


YUNET_ROLES = tuple(_role(part, stride) for part in PARTS for stride in STRIDES)


def read_yunet(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Score: the root of class times objectness. Boxes are offsets from a cell, sides are exponentials (OpenCV's
    FaceDetectorYN). Landmarks: eyes, nose, corners of the mouth."""
    parts = {
        part: [taken(outputs, reading.values[_role(part, stride)], 2, width) for stride in STRIDES]
        for part, width in PARTS.items()
    }
    joined = {part: np.concatenate(arrays) for part, arrays in parts.items()}
    places, strides = cells(reading.size, STRIDES)
    if same_rows(joined) != len(places):
        raise InputError(
            f"the outputs have {len(joined['cls'])} anchors, an input of {reading.size[0]} x {reading.size[1]} has"
            f" {len(places)}; {AGAIN}"
        )
    scores = np.sqrt(joined["cls"].clip(0, 1) * joined["obj"].clip(0, 1))
    with np.errstate(over="ignore"):
        sides = np.exp(joined["bbox"][:, 2:])
    boxes = corners(np.concatenate([joined["bbox"][:, :2] + places, sides], 1) * strides[:, None])
    points = (joined["kps"].reshape(-1, 5, 2) + places[:, None]) * strides[:, None, None]
    return Candidates(boxes, scores, points=np.concatenate([points, np.ones((len(points), 5, 1))], 2))


def recognise_yunet(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """Twelve outputs of 1, 1, 4 and 10 channels on the grids of strides 8, 16 and 32.

    Class and objectness have equal shapes; the score is symmetric in both.
    """
    if size is None or len(outputs) != len(YUNET_ROLES):
        return []
    values: dict[str, str] = {}
    for stride, anchors in zip(STRIDES, counts(size, STRIDES), strict=True):
        for part, width in PARTS.items():
            fitting = [n for n, a in outputs.items() if n not in values.values() and _is(a, anchors, width)]
            if not fitting:
                return []
            values[_role(part, stride)] = next((n for n in fitting if n.startswith(part)), fitting[0])
    reason = "twelve outputs: class, objectness, box and five landmarks on the grids of strides 8, 16, 32"
    return [guess("yunet", values, size, reason, True, classes=1)]


def _is(array: Array, anchors: int, width: int) -> bool:
    table = rows(array)
    return table is not None and table.shape == (anchors, width)


def read_ultraface(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Scores [n, 2], the background's first, and boxes [n, 4] with corners of 0 to 1."""
    scores = taken(outputs, reading.values["scores"], 2, 2)
    boxes = taken(outputs, reading.values["boxes"], 2, 4)
    same_rows({reading.values["scores"]: scores, reading.values["boxes"]: boxes})
    height, width = reading.size
    return Candidates(boxes * np.array([width, height, width, height], np.float32), scores[:, 1:])


def recognise_ultraface(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """Two outputs [n, 2] and [n, 4]: pairs of probabilities, and corners of about 0 to 1."""
    tables = {name: rows(array) for name, array in outputs.items()}
    scores = [(n, t) for n, t in tables.items() if t is not None and t.shape[1] == 2]
    boxes = [(n, t) for n, t in tables.items() if t is not None and t.shape[1] == 4]
    if len(outputs) != 2 or not (scores and boxes) or len(scores[0][1]) != len(boxes[0][1]):
        return []
    (score_name, pairs), (box_name, found) = scores[0], boxes[0]
    if not are_shares(pairs) or np.abs(pairs.sum(1) - 1).max() > 1e-3 or np.abs(found).max() > 4:
        return []
    if (found[:, 2:] < found[:, :2]).mean() > 0.01:
        return []
    reason = "pairs of probabilities, and boxes with corners of 0 to 1"
    return [guess("ultraface", {"scores": score_name, "boxes": box_name}, size, reason, True, classes=1)]


def read_pnet(outputs: Mapping[str, Array], reading: Reading) -> Candidates:
    """Cells of 12 pixels, 2 apart; offsets [h, w, 4] of the corners in cells, shares [h, w, 2] of none and face."""
    scores = taken(outputs, reading.values["scores"], 3, 2)
    offsets = taken(outputs, reading.values["boxes"], 3, 4)
    if scores.shape[:2] != offsets.shape[:2]:
        raise InputError(f"scores {scores.shape[:2]} and boxes {offsets.shape[:2]} lie on different grids; {AGAIN}")
    rows_, columns = np.divmod(np.arange(scores.shape[0] * scores.shape[1]), max(scores.shape[1], 1))
    corner = np.stack([columns, rows_, columns, rows_], 1) * PNET_STRIDE
    cell = corner + np.array([0, 0, PNET_CELL, PNET_CELL])
    return Candidates(cell + offsets.reshape(-1, 4) * PNET_CELL, scores.reshape(-1, 2)[:, 1:])


def recognise_pnet(outputs: Mapping[str, Array], size: Size | None) -> list[Guess]:
    """Two maps [h, w, 4] and [h, w, 2] at half the input's size; the second holds pairs of probabilities."""
    maps = {name: array[0] for name, array in outputs.items() if array.ndim == 4 and array.shape[0] == 1}
    scores = [(n, m) for n, m in maps.items() if m.shape[-1] == 2]
    boxes = [(n, m) for n, m in maps.items() if m.shape[-1] == 4]
    if len(outputs) != 2 or not (scores and boxes) or scores[0][1].shape[:2] != boxes[0][1].shape[:2]:
        return []
    if not are_shares(scores[0][1]) or np.abs(scores[0][1].sum(-1) - 1).max() > 1e-3:
        return []
    if size is not None and scores[0][1].shape[:2] != tuple(-(-(side - 2) // 2) - 4 for side in size):
        return []
    values = {"scores": scores[0][0], "boxes": boxes[0][0]}
    reason = "maps of boxes and of pairs of probabilities, one cell every 2 pixels"
    return [guess("pnet", values, size, reason, size is not None, classes=1)]


HEADS = {
    "yunet": Head(YUNET_ROLES, read_yunet, recognise_yunet, score=0.6, iou=0.3, labels=LABELS),
    "ultraface": Head(("scores", "boxes"), read_ultraface, recognise_ultraface, score=0.7, iou=0.5, labels=LABELS),
    "pnet": Head(("scores", "boxes"), read_pnet, recognise_pnet, score=0.6, iou=0.5, labels=LABELS),
}
