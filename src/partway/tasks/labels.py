"""A user's options for a task: labels and thresholds, put into the plan's ``output`` entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from partway.errors import InputError
from partway.tasks.arrays.reading import number
from partway.tasks.heads.text.ctc import characters

THRESHOLDS = {
    "detect": ("score", "iou", "most"),
    "segment": ("score", "iou", "most"),
    "pose": ("score", "iou", "most"),
    "text": ("score",),
}
"""Which thresholds a task has."""


NOTHING = ("???", "background", "__background__")


def labelled(output: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """The entry with these labels, one for each class.

    A CTC model's characters may lack the blank, and a space at the end. TensorFlow's detectors count from the label
    after ``???`` or ``background``, which is left out. Raises InputError, with both numbers, if they
    do not fit the head's classes; if the task has no labels; or if there are none.
    """
    kind, classes = str(output.get("kind", "")), output.get("classes")
    if kind in ("embed", "tensors", "") or output.get("head") == "db":
        raise InputError(f"the task {kind or 'tensors'} has no labels; leave them out, or name another --task")
    if not labels:
        raise InputError("the labels file is empty; give one label a line")
    if kind == "text":
        characters(labels, int(number(output, "classes", 0, 0, 1e6)), int(number(output, "blank", 0, -1, 1e6)))
    elif output.get("rows_first") and labels[0].strip().lower() in NOTHING:
        labels = labels[1:]
    elif classes is not None and len(labels) != classes:
        what = "class" if classes == 1 else "classes"
        raise InputError(f"{len(labels)} labels do not fit a model of {classes} {what}; give {classes}, one a line")
    return {**output, "labels": [str(label) for label in labels]}


def with_options(
    output: Mapping[str, Any],
    labels: Sequence[str] | None = None,
    score: float | None = None,
    iou: float | None = None,
    most: int | None = None,
) -> dict[str, Any]:
    """The entry with the options that are given. Raises InputError for one that the task does not have."""
    given = {"score": score, "iou": iou, "most": most}
    known = THRESHOLDS.get(str(output.get("kind", "")), ())
    changed = dict(output)
    for name, value in given.items():
        if value is None:
            continue
        if name not in known:
            raise InputError(f"the task {output.get('kind') or 'tensors'} has no threshold {name!r}; leave it out")
        number({name: value}, name, 0, 1 if name == "most" else 0, 10_000 if name == "most" else 1)
        changed[name] = value
    return changed if labels is None else labelled(changed, labels)
