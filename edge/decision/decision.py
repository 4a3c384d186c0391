"""The choice among estimates, and why in one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from partway.edge.decision.ranking import BY_LATENCY, Ranking
from partway.errors import InputError
from partway.partitioner.decide.candidates import candidate_name
from partway.partitioner.decide.estimate import Estimate, Link
from partway.partitioner.plan.plan import Plan
from partway.units import is_short_for, shortened


@dataclass(frozen=True, slots=True)
class Decision:
    """All admitted candidates with their estimates, the chosen one, and the reason in one sentence.

    ``runner_up`` is what the reason compares it with; None if a split was requested or nothing else is admitted.
    """

    estimates: tuple[Estimate, ...]
    chosen: Estimate
    reason: str
    link: Link | None
    link_measured: bool
    ranking: Ranking = BY_LATENCY
    runner_up: Estimate | None = None


def restrict(estimates: Sequence[Estimate], split: str, plan: Plan) -> list[Estimate]:
    """The estimates that ``--split`` allows. Raises InputError naming the range or the nearest value."""
    if split == "auto":
        return list(estimates)
    k = split_number(split, plan)
    allowed = [e for e in estimates if e.candidate.k == k]
    if not allowed:
        raise InputError(f"no codec is allowed for split {k}; give another --codec or a larger --max-drop")
    return allowed


def split_number(split: str, plan: Plan) -> int:
    """k of ``device``, ``cloud``, a number, or the name of a value that crosses."""
    stages = len(plan.stages)
    named = {"device": stages, "cloud": 0} | {str(cut): k for k, cut in enumerate(plan.cuts)}
    named |= {value: k for k, cut in enumerate(plan.cuts) if len(cut.values) == 1 for value in cut.values}
    if split in named:
        return named[split]
    if re.fullmatch("[+-]?[0-9]{1,9}", split):
        if 0 <= int(split) <= stages:
            return int(split)
        raise InputError(
            f"split {split} is out of range; {plan.model} has splits 0 (all in the cloud) to"
            f" {stages} (all on the device)"
        )
    abbreviated = {k for name, k in named.items() if is_short_for(split, name)}
    if len(abbreviated) == 1:
        return abbreviated.pop()
    close = difflib.get_close_matches(split, named, 1, 0.0)
    known = ", ".join(["device", "cloud", *plan.cut_names])
    raise InputError(
        f"no cut is called {shortened(split)!r}; did you mean {shortened(close[0])}? Known: auto, {known}, or 0 to"
        f" {stages}"
    )


def rival_of(
    chosen: Estimate, estimates: Sequence[Estimate], plan: Plan, ranking: Ranking = BY_LATENCY
) -> Estimate | None:
    """The estimate that the chosen one is compared with; None if there is no other.

    A split is compared with the better of device and cloud alone, and each of those with the best split.
    """
    stages = len(plan.stages)
    rest = [e for e in estimates if e is not chosen]
    if not rest:
        return None
    if 0 < chosen.candidate.k < stages:
        return ranking.best([e for e in rest if not 0 < e.candidate.k < stages] or rest)
    splits = [e for e in rest if 0 < e.candidate.k < stages]
    return ranking.best([e for e in splits if e.measured_s is not None] or splits or rest)


def reason(chosen: Estimate, estimates: Sequence[Estimate], plan: Plan, ranking: Ranking = BY_LATENCY) -> str:
    """The reason in one sentence: the scores of the chosen estimate and of its rival."""
    stages = len(plan.stages)
    rival = rival_of(chosen, estimates, plan, ranking)
    mine, by = f"{candidate_name(chosen.candidate, plan)}: {ranking.show_with_unit(chosen)}", _by(ranking)
    if rival is None:
        return f"{by}{mine}; nothing else was allowed"
    theirs = ranking.show(rival)
    if 0 < chosen.candidate.k < stages:
        return f"{by}{mine} against {theirs} {_placement(rival, plan)}"
    if not 0 < rival.candidate.k < stages:
        return f"{by}{mine} against {theirs} for {candidate_name(rival.candidate, plan)}"
    return f"{by}do not split: {mine} against {theirs} for the best split (k = {rival.candidate.k}) on this link"


def _by(ranking: Ranking) -> str:
    return "" if ranking.objective.is_latency else f"by {ranking.objective.name}, "


def _placement(rival: Estimate, plan: Plan) -> str:
    return {0: "all in the cloud", len(plan.stages): "all on the device"}.get(rival.candidate.k, "for the next best")


def make_decision(
    estimates: Sequence[Estimate],
    allowed: Sequence[Estimate],
    plan: Plan,
    link: Link | None,
    measured: bool,
    ranking: Ranking = BY_LATENCY,
) -> Decision:
    """Choose the best allowed estimate and give the reason."""
    chosen = ranking.best(allowed)
    if len(allowed) < len(estimates) or (len(estimates) == 1 and link is None):
        name = candidate_name(chosen.candidate, plan)
        score = "" if ranking.objective.is_latency else f": {ranking.show_with_unit(chosen)}"
        return Decision(tuple(estimates), chosen, f"{_by(ranking)}{name}{score}, as requested", link, measured, ranking)
    sentence, rival = reason(chosen, estimates, plan, ranking), rival_of(chosen, estimates, plan, ranking)
    return Decision(tuple(estimates), chosen, sentence, link, measured, ranking, rival)
