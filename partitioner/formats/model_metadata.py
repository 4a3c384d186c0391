"""Add to a plan what a model file lacks: how pictures become its input, and how to read its answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.picture_input import input_size, picture_entry
from partway.partitioner.formats.usual_pictures import usual_pictures
from partway.partitioner.plan.answer import real_values
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.model_format import NO_FACTS, Facts
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.wishes import Wishes
from partway.partitioner.profile.measure import sample_values
from partway.tasks.interface import Guess
from partway.tasks.labels import labelled
from partway.tasks.registry import TASKS, UNKNOWN, guesses
from partway.tasks.ultralytics import from_ultralytics

log = logging.getLogger("partway.partitioner")
Array = np.ndarray[Any, Any]
SUM_TOLERANCE = 0.1
"""Probabilities in 256 steps add up to 1 only roughly."""


def described(plan: Plan, chain: Chain, wishes: Wishes, facts: Facts = NO_FACTS) -> Plan:
    """The plan with its ``input`` and ``output`` entries: from ``wishes``, the file's ``facts``, or guessed.

    An only input of shape [N, 1|3, H, W] or [N, H, W, 1|3] takes pictures. The tasks recognise the outputs by one run
    on sample values. Integers of quantised models stand for what their scale and zero point say. What is guessed is in
    the plan's ``guesses``. Raises InputError for wishes that do not fit the model.
    """
    inputs = plan.frame_inputs
    output, of_answers = _output(plan, chain, wishes, facts, input_size(inputs))
    entry, of_pictures = picture_entry(inputs, wishes, facts, usual_pictures(output))
    guessed = tuple(sentence for sentence in (of_pictures, of_answers) if sentence)
    return replace(plan, input=entry, output=output, guesses=guessed)


def _output(
    plan: Plan, chain: Chain, wishes: Wishes, facts: Facts, size: tuple[int, int] | None
) -> tuple[dict[str, Any], str]:
    """The ``output`` entry, and in words what of it is guessed."""
    outputs = _sample_outputs(plan, chain)
    if wishes.task == UNKNOWN:
        return {"kind": UNKNOWN}, ""
    found = _named(outputs, wishes.task, size) if wishes.task else _recognised(outputs, facts, size)
    if not found:
        if wishes.labels:
            raise InputError(f"--labels: no task reads {_shown(outputs)} as classes; leave it out, or give --task")
        return {}, ""
    best = found[0]
    entry = _labelled(_as_probabilities(dict(best.output), plan, outputs), wishes, facts)
    if wishes.task or best.certain or (facts.task and facts.task == best.output["kind"]):
        return entry, ""
    others = list(dict.fromkeys(str(guess.output["kind"]) for guess in found[1:]))
    also = f", {' or '.join(others)} is as plausible" if others else ""
    return entry, f"task {best.output['kind']} ({best.reason}{also}); set --task if wrong"


def _sample_outputs(plan: Plan, chain: Chain) -> dict[str, Array]:
    """The model's outputs of one run, as real numbers."""
    try:
        values = chain.run(sample_values(chain), 0, len(plan.stages))
    except InputError as error:
        raise InputError(f"{plan.model} does not run at these sizes ({error}); give others by --shape") from error
    meanings = {name: plan.tensors[name].quantization for name in plan.answers}
    return {
        name: values[name] if meaning is None else real_values(values[name], meaning)
        for name, meaning in meanings.items()
    }


def _named(outputs: Mapping[str, Array], task: str, size: tuple[int, int] | None) -> list[Guess]:
    """What the task that the user names makes of the outputs. Raises InputError if it cannot read them."""
    entry = TASKS.get(task)
    guess = entry.recognise(outputs, size) or (entry.named(outputs, size) if entry.named else None)
    if guess is None:
        raise InputError(f"--task {task} cannot read outputs like {_shown(outputs)}; give another task, or tensors")
    return [guess]


def _recognised(outputs: Mapping[str, Array], facts: Facts, size: tuple[int, int] | None) -> list[Guess]:
    """The guesses, best first: what the file says, those of the task which it names, then the certain ones."""
    said = from_ultralytics(facts.metadata, outputs, size)
    found = sorted(guesses(outputs, size), key=lambda guess: guess.output["kind"] != facts.task)
    return found if said is None else [said, *found]


def _as_probabilities(entry: dict[str, Any], plan: Plan, outputs: Mapping[str, Array]) -> dict[str, Any]:
    """No softmax for quantised scores that are probabilities, or for integers of no known meaning."""
    if entry["kind"] == "classify" and plan.tensors[name := str(entry["value"])].quantization is not None:
        scores = np.asarray(outputs[name], np.float64)
        entry["softmax"] = not bool(scores.min() >= 0 and abs(scores.sum() - 1) < SUM_TOLERANCE)
    return entry


def _labelled(entry: dict[str, Any], wishes: Wishes, facts: Facts) -> dict[str, Any]:
    """The entry with the user's labels, else with the file's. Raises InputError if the user's do not fit."""
    if wishes.labels:
        try:
            return labelled(entry, wishes.labels)
        except InputError as error:
            raise InputError(f"--labels: {error}") from error
    if not facts.labels or "labels" in entry:
        return entry
    try:
        return labelled(entry, facts.labels)
    except InputError as error:
        log.warning("the labels in the model file are not used: %s", error)
        return entry


def _shown(outputs: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
