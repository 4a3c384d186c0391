"""Tell when a model is unsure of every picture: then its preprocessing, rather than the pictures, is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.plan.answer import AnswerReader
from partway.partitioner.plan.chain import Chain

LEAST_FRAMES, MOST_FRAMES = 3, 16
UNSURE = 0.3
"""A best class of less than this, or less than twice an equal share of all classes, is doubtful."""
FOUND = ("boxes", "text", "keypoints", "masks")
"""Entries of a result that are empty where a model found nothing."""


def doubt(chain: Chain, frames: Sequence[CalibrationFrame]) -> str:
    """A sentence if the unsplit model is unsure of every picture among the first frames; empty otherwise.

    Only for models of pictures, and from three frames on.
    """
    plan = chain.plan
    some = [frame for frame in frames if frame.pixels is not None][:MOST_FRAMES]
    if plan.preprocess is None or len(some) < LEAST_FRAMES:
        return ""
    reader = AnswerReader(plan)
    answers = [reader.result(chain.run(frame.values, 0, len(plan.stages))).to_json() for frame in some]
    why = unsure(answers, _classes(plan.output, chain))
    if not why:
        return ""
    said = f" (guessed: {plan.guesses[0]})" if plan.guesses else ""
    return (
        f"{plan.model} is unsure of all {len(some)} pictures that were tried: {why}. Its preprocessing may be wrong"
        f"{said}; check --scale, --mean, --std, --channels and --fit"
    )


def unsure(answers: Sequence[Mapping[str, Any]], classes: int) -> str:
    """Why every answer is doubtful, in words; empty if one is not. ``answers`` are results as JSON."""
    if all("top" in answer for answer in answers):
        best = [answer["top"][0]["probability"] if answer["top"] else None for answer in answers]
        numbers = [probability for probability in best if probability is not None]
        most = max(numbers, default=0.0)
        if not numbers:
            return "the probabilities are no numbers"
        limit = UNSURE if classes > 2 / UNSURE else 1.2 / max(classes, 1)
        return f"the best class has at most {most:.1%}" if most < limit else ""
    for kind in FOUND:
        if all(kind in answer for answer in answers):
            return "" if any(_holds(answer[kind]) for answer in answers) else f"no {kind} found"
    return ""


def _holds(entry: Any) -> bool:
    """Whether a list of findings has one that says something: text is not empty."""
    return any(not isinstance(one, Mapping) or one.get("text", True) for one in entry) if entry else False


def _classes(output: Mapping[str, Any], chain: Chain) -> int:
    value = output.get("value")
    spec = chain.plan.tensors.get(str(value))
    return spec.elements() if spec is not None else 0
