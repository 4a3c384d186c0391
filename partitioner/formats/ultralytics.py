"""How models of Ultralytics' exporters take pictures, by the entries in their files.

ONNX and TFLite files hold the same entries. ``partway.tasks.ultralytics`` reads what they say of answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from partway.partitioner.plan.model_file.model_format import Facts
from partway.tasks.ultralytics import names_of

TASKS = {"detect": "detect", "segment": "segment", "pose": "pose", "classify": "classify", "obb": "detect"}


def is_ultralytics(entries: Mapping[str, str]) -> bool:
    """Whether these are entries of Ultralytics' exporters; YOLOv5 writes names and stride only."""
    return "names" in entries and "stride" in entries and _task(entries) in TASKS


def ultralytics_facts(entries: Mapping[str, str]) -> Facts:
    """The facts of such entries: RGB from 0 to 1; a letterbox of grey 114, or for classifiers the centre."""
    task = _task(entries)
    fit = "crop" if task == "classify" else "letterbox-114"
    pictures = {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,), "order": "RGB", "fit": fit}
    return Facts(pictures, names_of(entries), TASKS[task], metadata=dict(entries))


def _task(entries: Mapping[str, str]) -> str:
    return entries.get("task", "detect")
