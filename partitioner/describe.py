"""Fill in what a model file does not say: how pictures become its input, and how to read its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from partway.partitioner.chain import Chain
from partway.partitioner.plan import Plan
from partway.partitioner.preprocess import guess_preprocess
from partway.partitioner.profile import sample_values
from partway.proto.errors import InputError

LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of pictures and answers; None where nothing was said and the tool has to guess."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    fit: str | None = None
    labels: tuple[str, ...] = ()


def described(plan: Plan, chain: Chain, wishes: Wishes) -> Plan:
    """The plan with its ``input`` and ``output`` entries, guessed where ``wishes`` is silent.

    An only input of shape [N, 1|3, H, W] or [N, H, W, 1|3] takes pictures scaled to 0..1; an only output of shape
    [N, classes] is a classifier, its values taken for logits unless they already are probabilities.
    """
    return replace(plan, input=_input(plan, wishes), output=_output(plan, chain, wishes))


def _input(plan: Plan, wishes: Wishes) -> dict[str, Any]:
    guessed = guess_preprocess(plan.crossing(0)[0]) if len(plan.inputs) == 1 else None
    if guessed is None:
        return {}
    said = {name: value for name in ("mean", "std", "scale", "fit") if (value := getattr(wishes, name)) is not None}
    for name in ("mean", "std"):
        if name in said and len(said[name]) not in (1, guessed.channels):
            raise InputError(f"--{name} needs 1 or {guessed.channels} numbers, {len(said[name])} were given")
    widest = max(len(said.get("mean", (0,))), len(said.get("std", (1,))))
    mean, std = (_widened(said.get(name, neutral), widest) for name, neutral in (("mean", (0.0,)), ("std", (1.0,))))
    return replace(guessed, **{**said, "mean": mean, "std": std}).to_json()


def _widened(values: Sequence[float], count: int) -> tuple[float, ...]:
    return tuple(values) * count if len(values) == 1 else tuple(values)


def _output(plan: Plan, chain: Chain, wishes: Wishes) -> dict[str, Any]:
    name = plan.outputs[0]
    try:
        values = chain.run(sample_values(chain), 0, len(plan.stages))[name]
    except InputError as error:
        raise InputError(f"{plan.model} does not run at these sizes ({error}); give others by --shape") from error
    classes = values.shape[-1] if values.ndim else 0
    if len(plan.outputs) != 1 or values.size != classes or classes < LEAST_CLASSES:
        return {}
    if wishes.labels and len(wishes.labels) != classes:
        raise InputError(f"--labels has {len(wishes.labels)} lines, the model {classes} classes")
    scores = values.astype(np.float64)
    probabilities = bool(scores.min() >= 0 and abs(scores.sum() - 1) < 1e-3)
    entry = {"kind": "classify", "value": name, "softmax": not probabilities and values.dtype.kind == "f"}
    return {**entry, "labels": list(wishes.labels)} if wishes.labels else entry


def read_labels(path: Path | None) -> tuple[str, ...]:
    """One label a line. Raises InputError when the file cannot be read."""
    if path is None:
        return ()
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels file {path} cannot be read ({error}); give a text file, one label a line") from error
