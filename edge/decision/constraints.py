"""Checks constraints before anything runs or is sent: which splits, stages, frames and fallback they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints, admitted, device_bytes, excluded
from partway.partitioner.decide.estimate import Candidate, Link
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.registry import RAW
from partway.units import show_bytes


def check_constraints(plan: Plan, constraints: Constraints, k: int | None, linked: bool) -> None:
    """Refuse a run that can only fail: with split k if one is requested, else with every split.

    Raises InputError that names the constraint and what to relax.
    """
    stages = len(plan.stages)
    all_on_device = Candidate(stages, None)
    exclusions = excluded([*_raw_splits(plan), all_on_device], constraints, plan)
    if k is not None and (why := exclusions.get(all_on_device if k == stages else Candidate(k, RAW))):
        raise InputError(f"split {k} is excluded by {why}; give another --split, or relax it")
    if not linked and all_on_device in exclusions:
        raise InputError(
            f"without a cloud everything runs on the device, which {exclusions[all_on_device]} excludes; relax it or"
            " give a cloud"
        )
    if linked:
        admitted([*_raw_splits(plan), all_on_device], constraints, plan)


def _raw_splits(plan: Plan) -> list[Candidate]:
    return [Candidate(k, RAW) for k in range(len(plan.stages))]


def may_send(plan: Plan, constraints: Constraints, k: int) -> bool:
    """Whether a frame may carry the values of cut k; k = number of stages means the outputs."""
    candidate = Candidate(k, RAW)
    return candidate not in excluded([candidate], constraints, plan)


def may_answer_on_device(plan: Plan, constraints: Constraints) -> bool:
    """Whether the device may answer frames without a cloud."""
    all_on_device = Candidate(len(plan.stages), None)
    return all_on_device not in excluded([all_on_device], constraints, plan)


def stages_that_fit(plan: Plan, constraints: Constraints) -> int:
    """How many stages, counted from the first, the device may hold."""
    limit_bytes = constraints.max_device_bytes
    fitting = [k for k in plan.splits if limit_bytes is None or device_bytes(plan, k) <= limit_bytes]
    return max(fitting, default=0)


def no_fallback_warning(plan: Plan, constraints: Constraints) -> str | None:
    """The warning for a device that cannot answer without the cloud; None if it can."""
    stages, limit_bytes = len(plan.stages), constraints.max_device_bytes
    if limit_bytes is None or stages_that_fit(plan, constraints) == stages:
        return None
    return (
        f"all on the device needs {show_bytes(device_bytes(plan, stages))}, more than --max-device-memory"
        f" {show_bytes(limit_bytes)}: if the cloud is lost, frames get no answer"
    )


def with_twin_agreement(candidates: Sequence[Candidate], plan: Plan, engine: str) -> list[Candidate]:
    """The candidates, with their agreement limited by the twins that ``engine`` runs instead of the original stages."""
    shares = plan.twin_agreement.get(engine)
    if shares is None:
        return list(candidates)
    return [_limit_agreement(candidate, shares[candidate.k]) for candidate in candidates]


def _limit_agreement(candidate: Candidate, share: float) -> Candidate:
    if share >= 1:
        return candidate
    own = 1.0 if candidate.lossless else candidate.agreement
    agreement = None if own is None else max(0.0, own + share - 1)
    return replace(candidate, lossless=False, agreement=agreement)


def admitted_candidates(
    candidates: Sequence[Candidate], plan: Plan, constraints: Constraints, link: Link | None
) -> list[Candidate]:
    """The candidates that may be used; without a link, those that send nothing. Raises InputError if there are none."""
    reachable = [candidate for candidate in candidates if link is not None or candidate.codec is None]
    return admitted(reachable, constraints, plan)
