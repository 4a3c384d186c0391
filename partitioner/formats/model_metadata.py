"""Add to a plan what a model file lacks: how pictures become its input, and how to read its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import guess_preprocess
from partway.partitioner.profile.measure import sample_values
from partway.proto.tensors import Quantization

LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Wishes:
    """The user's settings of pictures and answers; None where the tool has to guess."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    fit: str | None = None
    labels: tuple[str, ...] = ()


def described(plan: Plan, chain: Chain, wishes: Wishes) -> Plan:
    """The plan with its ``input`` and ``output`` entries, guessed where ``wishes`` has None.

    An only input of shape [N, 1|3, H, W] or [N, H, W, 1|3] takes pictures scaled to 0..1; an only output of shape
    [N, classes] is a classifier, its values taken for logits unless they already are probabilities. Integers of
    quantized models stand for what their scale and zero point say.
    """
    return replace(plan, input=_input(plan, wishes), output=_output(plan, chain, wishes))


def _input(plan: Plan, wishes: Wishes) -> dict[str, Any]:
    guessed = guess_preprocess(plan.frame_inputs[0]) if len(plan.frame_inputs) == 1 else None
    if guessed is None:
        return {}
    settings = {name: value for name in ("mean", "std", "scale", "fit") if (value := getattr(wishes, name)) is not None}
    for name in ("mean", "std"):
        if name in settings and len(settings[name]) not in (1, guessed.channels):
            raise InputError(f"--{name} needs 1 or {guessed.channels} numbers, {len(settings[name])} were given")
    widest = max(len(settings.get("mean", (0,))), len(settings.get("std", (1,))))
    if not settings.keys() & {"mean", "std", "scale"}:
        return replace(guessed, **settings).to_json()
    meaning = plan.frame_inputs[0].quantization
    if meaning is not None:
        settings.setdefault("scale", 1 / 255)
    mean, std = (_widened(settings.get(name, neutral), widest) for name, neutral in (("mean", (0.0,)), ("std", (1.0,))))
    mean, std = _quantized(mean, std, meaning)
    return replace(guessed, **{**settings, "mean": mean, "std": std}).to_json()


def _quantized(
    mean: tuple[float, ...], std: tuple[float, ...], meaning: Quantization | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation that give the integers directly: ``(x - mean) / std`` over the scale, plus the zero point."""
    if meaning is None or len(meaning.scales) != 1:
        return mean, std
    step, zero = meaning.scales[0], meaning.zero_points[0]
    pairs = list(zip(mean, std, strict=True))
    return tuple(m - zero * step * s for m, s in pairs), tuple(s * step for _, s in pairs)


def _widened(values: Sequence[float], count: int) -> tuple[float, ...]:
    return tuple(values) * count if len(values) == 1 else tuple(values)


def _output(plan: Plan, chain: Chain, wishes: Wishes) -> dict[str, Any]:
    name = plan.answers[0]
    try:
        values = chain.run(sample_values(chain), 0, len(plan.stages))[name]
    except InputError as error:
        raise InputError(f"{plan.model} does not run at these sizes ({error}); give others by --shape") from error
    classes = values.shape[-1] if values.ndim else 0
    if len(plan.answers) != 1 or values.size != classes or classes < LEAST_CLASSES:
        return {}
    if wishes.labels and len(wishes.labels) != classes:
        raise InputError(f"--labels has {len(wishes.labels)} lines, the model {classes} classes")
    meaning = plan.tensors[name].quantization
    step, zero = (meaning.scales[0], meaning.zero_points[0]) if meaning is not None else (1.0, 0)
    scores = (values.astype(np.float64) - zero) * step
    probabilities = bool(scores.min() >= 0 and abs(scores.sum() - 1) < (1e-3 if meaning is None else 0.1))
    softmax = not probabilities and (values.dtype.kind == "f" or meaning is not None)
    entry = {"kind": "classify", "value": name, "softmax": softmax}
    return {**entry, "labels": list(wishes.labels)} if wishes.labels else entry


def read_labels(path: Path | None) -> tuple[str, ...]:
    """One label a line. Raises InputError when the file cannot be read."""
    if path is None:
        return ()
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels file {path} cannot be read ({error}); give a text file, one label a line") from error
