"""The explanation of a decision as data: everything that a table, a page or a picture shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from partway.partitioner.decide.candidates import candidate_name, plan_candidates
from partway.partitioner.decide.constraints import Constraints, admitted, excluded
from partway.partitioner.decide.crossovers import Chooser, Win, crossovers
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import Objective, order
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.file import Predicted, profile_from_json
from partway.units import show_bps, show_s

GRID = (401, 261)
"""Points of the crossover map: bandwidths, round trips."""
COARSE = 8
WIDEST_BPS = (1e3, 1e11)


@dataclass(frozen=True, slots=True)
class ModelOperatorTime:
    """Seconds of one operator of the model on one machine."""

    name: str
    kind: str
    stage: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Machine:
    """A profile as it is explained: name of the machine, seconds per stage and, where known, per operator.

    ``predicted`` where none of that was measured, ``busy`` where it was measured on a busy machine.
    """

    name: str
    stage_s: tuple[float, ...]
    operators: tuple[ModelOperatorTime, ...] = ()
    predicted: Predicted | None = None
    busy: str = ""

    @property
    def mark(self) -> str:
        """The prefix of its numbers: ``~`` when they are predicted."""
        return "~" if self.predicted else ""


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate: its estimate on the link, its score, and the constraint that excludes it, if one does."""

    name: str
    estimate: Estimate
    score: float
    excluded: str | None = None

    @property
    def candidate(self) -> Candidate:
        """What is estimated."""
        return self.estimate.candidate


@dataclass(frozen=True, slots=True)
class CrossoverMap:
    """Which of ``candidates`` is best at every bandwidth (columns) and round trip (rows), both evenly spaced in log."""

    bandwidths_bps: tuple[float, ...]
    rtts_s: tuple[float, ...]
    winners: np.ndarray[Any, np.dtype[np.intp]]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Explanation:
    """What is shown. ``rows`` are best first, the excluded last; ``wins`` holds at the link's round trip."""

    plan: Plan
    device: Machine
    cloud: Machine
    link: Link
    objective: Objective
    rows: tuple[Row, ...]
    wins: tuple[Win, ...]
    map: CrossoverMap
    notes: tuple[str, ...] = field(default=())

    @property
    def chosen(self) -> Row:
        """The best row."""
        return self.rows[0]

    def name(self, candidate: Candidate) -> str:
        """A candidate in words."""
        return candidate_name(candidate, self.plan)

    def marks(self, candidate: Candidate) -> tuple[str, str, str]:
        """The marks of the prefix, the cloud's time and the total: ``~`` when it contains a prediction."""
        prefix = self.device.mark if candidate.k > 0 else ""
        cloud = self.cloud.mark if candidate.codec is not None else ""
        return prefix, cloud, prefix or cloud

    def score(self, row: Row) -> str:
        """A row's score for people."""
        mark = self.marks(row.candidate)[2] if self.objective.is_timed else ""
        return f"{mark}{self.objective.show(row.score)}"


def machine_of(profile: object, plan: Plan) -> Machine:
    """A profile's JSON as a Machine. Raises InputError when it is none, or of another plan.

    Time that belongs to no operator of the model is listed by kind and stage.
    """
    read = profile_from_json(profile, plan)
    times: dict[tuple[str, str, int], float] = {}
    for one in read.operators:
        name = one.name or f"{one.kind.strip('()')} (stage {one.stage})"
        times[name, one.kind, one.stage] = times.get((name, one.kind, one.stage), 0.0) + one.time_s
    operators = tuple(ModelOperatorTime(*key, time_s) for key, time_s in times.items())
    return Machine(read.machine, read.stage_s, operators, read.predicted, read.busy)


def explain(
    plan: Plan,
    device: Machine,
    cloud: Machine,
    link: Link,
    objective: Objective,
    constraints: Constraints | None = None,
    notes: Sequence[str] = (),
) -> Explanation:
    """Estimate every candidate of the plan and find who wins where.

    Raises InputError when the constraints admit no candidate.
    """
    candidates = plan_candidates(plan)
    allowed = constraints or Constraints()
    admitted(candidates, allowed, plan)
    out = excluded(candidates, allowed, plan)
    speeds = Speeds(device.stage_s, cloud.stage_s)
    estimates = [estimate(candidate, speeds, link) for candidate in candidates]
    estimates.sort(key=lambda e: (e.candidate in out, order(e, objective, link.rtt_s)))
    rows = tuple(
        Row(candidate_name(e.candidate, plan), e, objective.score(e, link.rtt_s), out.get(e.candidate))
        for e in estimates
    )
    assumptions = [
        f"the {side}'s times are {m.predicted}" for side, m in (("device", device), ("cloud", cloud)) if m.predicted
    ]
    assumptions += [f"the {side}'s times were {m.busy}" for side, m in (("device", device), ("cloud", cloud)) if m.busy]
    admitted_estimates = [row.estimate for row in rows if row.excluded is None]
    wins = crossovers(admitted_estimates, objective, link.rtt_s)
    drawn = crossover_map(Chooser(admitted_estimates, objective), link, wins)
    return Explanation(plan, device, cloud, link, objective, rows, tuple(wins), drawn, (*notes, *assumptions))


def crossover_map(chooser: Chooser, link: Link, wins: Sequence[Win]) -> CrossoverMap:
    """The winners over common links, including the given link and every change near it."""
    ends = [win.to_bps for win in wins if WIDEST_BPS[0] <= win.to_bps <= WIDEST_BPS[1]]
    low_bps, high_bps = min(1e5, link.bandwidth_bps / 10, *(end / 3 for end in ends)), max(1e9, link.bandwidth_bps * 10)
    bandwidths = np.geomspace(low_bps, max(high_bps, *(end * 3 for end in [*ends, 1.0])), GRID[0])
    low_s = next((s for s in (1e-3, 1e-4, 1e-5) if _differ(chooser, bandwidths[::COARSE].tolist(), s)), 1e-3)
    low_s = min(low_s, link.rtt_s / 3) if link.rtt_s > 0 else low_s
    rtts = np.geomspace(low_s, max(0.5, link.rtt_s * 3), GRID[1])
    found: dict[Candidate, int] = {}
    cells = [[found.setdefault(chooser(Link(b, r)), len(found)) for b in bandwidths.tolist()] for r in rtts.tolist()]
    return CrossoverMap(tuple(bandwidths.tolist()), tuple(rtts.tolist()), np.array(cells), tuple(found))


def _differ(chooser: Chooser, bandwidths: Sequence[float], rtt_s: float) -> bool:
    return len({chooser(Link(bandwidth_bps, rtt_s)) for bandwidth_bps in bandwidths}) > 1


def reason(explanation: Explanation) -> str:
    """The reason in one sentence: the best candidate on this link against the next best and the two extremes."""
    best, stages = explanation.chosen, len(explanation.plan.stages)
    admitted_rows = [row for row in explanation.rows if row.excluded is None]
    rivals = [
        *[row for row in admitted_rows[1:] if row.candidate.k != best.candidate.k][:1],
        *[row for row in admitted_rows if row.candidate.k == 0][:1],
        *[row for row in admitted_rows if row.candidate.codec is None and row.candidate.k == stages],
    ]
    others = list(dict.fromkeys(_rival(explanation, row) for row in rivals if row is not best))
    mine = f"{best.name}: {explanation.score(best)} {explanation.objective.unit}".rstrip()
    against = f" against {_listed(others)}" if others else "; nothing else is admitted"
    return f"{mine}{against}, on {explanation.link}"


def changes(explanation: Explanation) -> list[str]:
    """The bandwidths at which the answer changes, one sentence a range, slowest first."""
    at = f"At {show_s(explanation.link.rtt_s)} round trip"
    if len(explanation.wins) == 1:
        return [f"{at} the answer is the same at every bandwidth: {explanation.name(explanation.wins[0].candidate)}."]
    lines = []
    mark = (explanation.device.mark or explanation.cloud.mark) if explanation.objective.is_timed else ""
    for win in explanation.wins:
        low, high = (f"{mark}{show_bps(end)}" for end in (win.from_bps, win.to_bps))
        if win.from_bps == 0:
            where = f"{at}, below {high}"
        elif math.isinf(win.to_bps):
            where = f"Above {low}"
        else:
            where = f"From {low} to {high}"
        here = " (you are here)" if win.from_bps <= explanation.link.bandwidth_bps < win.to_bps else ""
        lines.append(f"{where}: {explanation.name(win.candidate)}{here}.")
    return lines


def rivals(explanation: Explanation) -> list[tuple[str, int]]:
    """The rivals of a cut: bytes of the raw input and of its smallest admitted JPEG and WebP."""
    input_rows = [row for row in explanation.rows if row.candidate.k == 0 and row.candidate.codec is not None]
    found = []
    for label, begins in (("raw input", ("u8", "raw")), ("JPEG", ("jpeg",)), ("WebP", ("webp",))):
        fitting = [row for row in input_rows if str(row.candidate.codec).startswith(begins)]
        smallest = min(fitting, key=lambda row: (row.excluded is not None, row.candidate.size_bytes), default=None)
        if smallest is not None:
            found.append((f"{label} ({smallest.candidate.codec})", smallest.candidate.size_bytes))
    return found


def _rival(explanation: Explanation, row: Row) -> str:
    word = "for " if row.name.startswith("split") else ""
    return f"{explanation.score(row)} {word}{row.name}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
