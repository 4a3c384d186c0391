"""What "best" means: an objective scores an estimate, lower is better. Objectives are found through entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from partway.errors import InputError
from partway.partitioner.decide.estimate import Estimate
from partway.partitioner.decide.power import POWERS, Power
from partway.plugins import Registry

if TYPE_CHECKING:
    from partway.partitioner.plan.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """A score as a function of the link: ``max(floor, fixed + per_bps / bandwidth_bps + per_rtt * rtt_s)``.

    Every objective has this form, so that the best candidate can be worked out for all links beforehand.
    """

    floor: float
    fixed: float
    per_bps: float
    per_rtt: float

    def at(self, bandwidth_bps: float, rtt_s: float) -> float:
        """The score on one link."""
        return max(self.floor, self.fixed + self.per_bps / bandwidth_bps + self.per_rtt * rtt_s)


@dataclass(frozen=True, slots=True)
class Objective:
    """The quantity that the choice minimises.

    ``score`` takes an estimate and the link's round trip in seconds; it scores what trial frames measured, where they
    were sent. ``terms`` gives the score of the estimated parts for any link; it ignores the estimate's own link.
    ``show`` writes a score for people, ``unit`` follows it. Gains below ``noise_floor`` do not change the split.
    ``is_latency``: the score is the frame's latency, which every report shows anyway. ``is_timed``: the score depends
    on measured times, so that it is marked where these are predicted. ``notes`` says what the objective assumes.
    ``overlaps``: the score assumes that frames overlap.
    """

    name: str
    score: Callable[[Estimate, float], float]
    terms: Callable[[Estimate], Terms]
    show: Callable[[float], str]
    unit: str = "a frame"
    noise_floor: float = 0.0
    is_latency: bool = False
    is_timed: bool = True
    overlaps: bool = False
    notes: tuple[str, ...] = ()

    def best(self, estimates: Iterable[Estimate], rtt_s: float = 0.0) -> Estimate:
        """The best estimate, by score, then seconds, then bytes. ``rtt_s``: the round trip of their link."""
        return best(estimates, lambda one: self.score(one, rtt_s), tie_break)


ObjectiveFactory = Callable[[Power], Objective]
"""What an entry of ``partway.objectives`` is: it makes the objective for a device that draws this power."""

OBJECTIVES: Registry[ObjectiveFactory] = Registry("partway.objectives", "objective")


def objective(name: str = "latency", power: Power = POWERS["pi4"]) -> Objective:
    """The objective of that name for a device that draws ``power``. Raises InputError on an unknown name."""
    entry: object = OBJECTIVES.get(name)(power)
    if not isinstance(entry, Objective):
        raise InputError(f"the objective {name!r} gives a {type(entry).__name__}, no Objective; mend its package")
    return entry


def objective_for(plan: Plan, chosen: Objective) -> Objective:
    """The objective for a plan. Frames of a model with state never overlap: least latency gives most frames/s."""
    return objective() if plan.state and chosen.overlaps else chosen


def best(choices: Iterable[T], score: Callable[[T], float], ties: Callable[[T], tuple[float, float]]) -> T:
    """The choice of least score; ``ties`` gives seconds and bytes, which decide between equal scores.

    Every choice between candidates goes through this function. Raises ValueError when there is nothing to choose from.
    """
    scored = [(score(choice), choice) for choice in choices]
    least = min(value for value, _ in scored)
    equal = [choice for value, choice in scored if value == least]
    return equal[0] if len(equal) == 1 else min(equal, key=ties)


def tie_break(estimate: Estimate) -> tuple[float, float]:
    """Order between estimates of equal score: the faster one, then the one that sends less."""
    return estimate.best_known_s, crossing_bytes(estimate)


def order(estimate: Estimate, objective: Objective, rtt_s: float = 0.0) -> tuple[float, float, float]:
    """The sort key of candidates in a table: the score, then ``tie_break``."""
    return objective.score(estimate, rtt_s), *tie_break(estimate)


def crossing_bytes(estimate: Estimate) -> float:
    """Bytes over the link per frame, both ways."""
    candidate = estimate.candidate
    return 0.0 if candidate.codec is None else float(candidate.size_bytes + candidate.reply_bytes)
