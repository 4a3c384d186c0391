"""What the constraints leave of a plan, told before anything runs or is sent: splits, stages, frames, the way back."""

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
    """Refuse before anything runs what can only fail: split k where one is asked for, else every split.

    Raises InputError that names the constraint and what to relax.
    """
    stages = len(plan.stages)
    alone = Candidate(stages, None)
    out = excluded([*_raw(plan), alone], constraints, plan)
    if k is not None and (why := out.get(alone if k == stages else Candidate(k, RAW))):
        raise InputError(f"split {k} is excluded by {why}; give another --split, or relax it")
    if not linked and alone in out:
        raise InputError(f"without a cloud all is on the device, which {out[alone]} excludes; relax it or give a cloud")
    if linked:
        admitted([*_raw(plan), alone], constraints, plan)


def _raw(plan: Plan) -> list[Candidate]:
    return [Candidate(k, RAW) for k in range(len(plan.stages))]


def may_send(plan: Plan, constraints: Constraints, k: int) -> bool:
    """Whether a frame may carry the values of cut k, the outputs (k = number of stages) among them."""
    candidate = Candidate(k, RAW)
    return candidate not in excluded([candidate], constraints, plan)


def may_stay(plan: Plan, constraints: Constraints) -> bool:
    """Whether the device may answer frames alone."""
    alone = Candidate(len(plan.stages), None)
    return alone not in excluded([alone], constraints, plan)


def stages_that_fit(plan: Plan, constraints: Constraints) -> int:
    """How many stages, from the first on, the device may hold."""
    most = constraints.max_device_bytes
    fitting = [k for k in plan.splits if most is None or device_bytes(plan, k) <= most]
    return max(fitting, default=0)


def no_way_back(plan: Plan, constraints: Constraints) -> str | None:
    """The sentence for a device that cannot answer when the cloud is lost; None for one that can."""
    stages, most = len(plan.stages), constraints.max_device_bytes
    if most is None or stages_that_fit(plan, constraints) == stages:
        return None
    return (
        f"all on the device needs {show_bytes(device_bytes(plan, stages))}, more than --max-device-memory"
        f" {show_bytes(most)}: if the cloud is lost, frames go unanswered"
    )


def on_twins(candidates: Sequence[Candidate], plan: Plan, engine: str) -> list[Candidate]:
    """The candidates of a device that runs another engine's twins: their answers are at best what those keep."""
    shares = plan.twin_agreement.get(engine)
    if shares is None:
        return list(candidates)
    return [_at_best(candidate, shares[candidate.k]) for candidate in candidates]


def _at_best(candidate: Candidate, share: float) -> Candidate:
    if share >= 1:
        return candidate
    own = 1.0 if candidate.lossless else candidate.agreement
    agreement = None if own is None else max(0.0, own + share - 1)
    return replace(candidate, lossless=False, agreement=agreement)


def left(candidates: Sequence[Candidate], plan: Plan, constraints: Constraints, link: Link | None) -> list[Candidate]:
    """Those that may be used: without a link only what sends nothing. Raises InputError when none is left."""
    reachable = [candidate for candidate in candidates if link is not None or candidate.codec is None]
    return admitted(reachable, constraints, plan)
