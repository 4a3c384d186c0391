"""What Ultralytics writes into the models it exports: sizes, class names, the task.

ONNX and TFLite files hold the same entries, text as Python prints it. It is read as literals, never run.
Source: https://docs.ultralytics.com/modes/export/ and the exporter's ``metadata`` dictionary.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from partway.partitioner.plan.model_format import Facts

TASKS = {"detect": "detect", "segment": "segment", "pose": "pose", "classify": "classify", "obb": "detect"}
KEYS = ("task", "names", "imgsz")
MOST_CHARACTERS = 1_000_000


def is_ultralytics(entries: Mapping[str, str]) -> bool:
    """Whether these are entries of Ultralytics' exporter."""
    return all(key in entries for key in KEYS) and entries["task"] in TASKS


def ultralytics_facts(entries: Mapping[str, str]) -> Facts:
    """The facts of such entries: RGB from 0 to 1; a letterbox of grey 114, or for classifiers the centre."""
    task = entries["task"]
    fit = "crop" if task == "classify" else "letterbox-114"
    pictures = {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,), "order": "RGB", "fit": fit}
    return Facts(pictures, _labels(literal(entries["names"])), TASKS[task], metadata=dict(entries))


def picture_size(entries: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width of the pictures that the model was exported for; None if the entry is not readable."""
    size = literal(entries.get("imgsz", ""))
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, list | tuple) else ()
    readable = len(pair) == 2 and all(type(side) is int and 0 < side < 1 << 16 for side in pair)
    return (pair[0], pair[1]) if readable else None


def literal(text: str) -> Any:
    """The value that Python text stands for; None for anything but a literal of reasonable length."""
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _labels(names: Any) -> tuple[str, ...]:
    """Class names in order, of a dictionary from numbers or of a list; empty if one is missing."""
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or set(names) != set(range(len(names))):
        return ()
    return tuple(str(names[number]) for number in range(len(names)))
