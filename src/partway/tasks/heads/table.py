"""All heads of detectors by name, as a plan's ``head`` says it."""

from __future__ import annotations

from partway.tasks.heads import detr, distances, ended, faces, yolo
from partway.tasks.heads.head import Head

HEADS: dict[str, Head] = {
    **yolo.HEADS,
    **distances.HEADS,
    **ended.HEADS,
    **faces.HEADS,
    **detr.HEADS,
}
