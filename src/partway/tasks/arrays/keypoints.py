"""COCO's 17 keypoints of a person, and how similar two poses are (https://cocodataset.org/#keypoints-eval)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
COCO_NAMES = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
COCO_SKELETON = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13),
    (13, 15), (12, 14), (14, 16),
)  # fmt: skip
LEAST_VISIBLE = 0.3
FILLED = 0.53
"""A person fills about half of its box; the similarity is defined by the filled area."""


def similarity(points: Array, reference: Array, box: Array | None = None) -> float:
    """Object keypoint similarity of points [k, 3] (x, y, score): 0 to 1, over the reference's visible points.

    Without a ``box`` [4] the reference's own points give its size. Other than 17 points have one sigma for all.
    """
    if points.shape != reference.shape or not len(points):
        return 0.0
    visible = reference[:, 2] >= LEAST_VISIBLE
    if not visible.any():
        visible = np.ones(len(points), bool)
    sigmas = COCO_SIGMAS if len(points) == len(COCO_SIGMAS) else np.full(len(points), 1 / len(points))
    sides = np.ptp(reference[visible, :2], axis=0) if box is None else box[2:] - box[:2]
    area = max(FILLED * float(np.prod(np.maximum(sides, 1))), 1.0)
    distances = ((points[:, :2] - reference[:, :2]) ** 2).sum(1)
    errors = distances / (2 * area * (2 * sigmas) ** 2)
    return float(np.exp(-errors[visible]).mean())
