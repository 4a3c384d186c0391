"""All heads of detectors by name, as a plan's ``head`` says it."""

from __future__ import annotations

from partway.tasks.heads import ended, faces, yolo
from partway.tasks.heads.head import Head

HEADS: dict[str, Head] = {**yolo.HEADS, **ended.HEADS, **faces.HEADS}
