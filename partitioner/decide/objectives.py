"""What "best" means: scores of an estimate, lower is better, and the choice among those that the constraints admit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints, admitted
from partway.partitioner.decide.estimate import Estimate
from partway.partitioner.decide.power import POWERS, Power, energy_j
from partway.units import show_bytes, show_s

if TYPE_CHECKING:
    from partway.partitioner.plan.plan import Plan

OBJECTIVES = ("latency", "throughput", "bytes", "energy")
UNIT = {"latency": "a frame", "throughput": "", "bytes": "a frame", "energy": "a frame"}
"""What is said after a score that is shown."""


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
    """What is to be as small as possible. ``score`` takes an estimate and the link's round trip in seconds.

    It is the score of what trial frames measured, where they were sent. ``terms`` gives that of the estimated parts for
    any link (what the estimate says of its own link is ignored, and what was measured on it).
    """

    name: str
    score: Callable[[Estimate, float], float]
    terms: Callable[[Estimate], Terms]
    show: Callable[[float], str]


def latency_s(estimate: Estimate, _rtt_s: float = 0.0) -> float:
    """Seconds from a frame to its answer; measured where trial frames were sent."""
    return estimate.best_known_s


def period_s(estimate: Estimate, rtt_s: float = 0.0) -> float:
    """Seconds between answers when frames overlap: the slowest of device, link and cloud.

    Prefix and encoding on the device, the transfer without the round trip (which delays frames, and holds none back),
    decoding and suffix in the cloud. ``rtt_s`` is what the estimate's link has.
    """
    transfer_s = max(0.0, estimate.link_s - rtt_s)
    return max(estimate.device_s, transfer_s, estimate.decode_s + estimate.suffix_s)


def crossing_bytes(estimate: Estimate, _rtt_s: float = 0.0) -> float:
    """Bytes over the link a frame, both ways."""
    return float(_bits(estimate) / 8)


def objective(name: str = "latency", power: Power = POWERS["pi4"]) -> Objective:
    """The objective of that name; ``power`` is only used by ``energy``. Raises InputError on an unknown name."""
    made: Mapping[str, Objective] = {
        "latency": Objective("latency", latency_s, _latency_terms, show_s),
        "throughput": Objective("throughput", lambda e, rtt_s: period_s(e.known, rtt_s), _period_terms, _show_rate),
        "bytes": Objective(
            "bytes", lambda e, _: crossing_bytes(e.known), lambda e: Terms(0.0, crossing_bytes(e), 0.0, 0.0), show_bytes
        ),
        "energy": Objective(
            "energy", lambda e, rtt_s: energy_j(e.known, power, rtt_s), lambda e: _energy_terms(e, power), show_j
        ),
    }
    if name not in made:
        raise InputError(f"unknown objective {name!r}; known: {', '.join(OBJECTIVES)}")
    return made[name]


def order(estimate: Estimate, wanted: Objective, rtt_s: float = 0.0) -> tuple[float, float, float]:
    """By what candidates are ranked: the score, of equals the faster, of those the one that sends less."""
    return wanted.score(estimate, rtt_s), estimate.best_known_s, crossing_bytes(estimate)


def choose_by(
    estimates: Sequence[Estimate],
    wanted: Objective,
    constraints: Constraints | None = None,
    plan: Plan | None = None,
    rtt_s: float = 0.0,
) -> Estimate:
    """The admitted estimate with the lowest score. ``rtt_s``: the round trip of the link they were made for.

    Raises InputError when the constraints admit none, saying which one excludes what. Constraints need the ``plan``.
    """
    if constraints is not None:
        if plan is None:
            raise ValueError("constraints need the plan")
        allowed = set(admitted([e.candidate for e in estimates], constraints, plan))
        estimates = [e for e in estimates if e.candidate in allowed]
    if not estimates:
        raise InputError("there is no candidate to choose from; measure the plan's codecs with `partway plan`")
    return min(estimates, key=lambda e: order(e, wanted, rtt_s))


def show_j(joules: float) -> str:
    """Joules for people."""
    return f"{joules:.3g} J" if joules >= 0.9995 else f"{joules * 1e3:.3g} mJ"


def _show_rate(seconds: float) -> str:
    if not seconds:
        return "endless frames/s"
    rate = 1 / seconds
    return f"{rate:.0f} frames/s" if rate >= 100 else f"{rate:.3g} frames/s"


def _bits(estimate: Estimate) -> float:
    candidate = estimate.candidate
    return 0.0 if candidate.codec is None else (candidate.size_bytes + candidate.reply_bytes) * 8.0


def _sends(estimate: Estimate) -> float:
    return 0.0 if estimate.candidate.codec is None else 1.0


def _latency_terms(estimate: Estimate) -> Terms:
    own_s = estimate.device_s + estimate.cloud_s
    return Terms(0.0, own_s, _bits(estimate), _sends(estimate))


def _period_terms(estimate: Estimate) -> Terms:
    slowest_s = max(estimate.device_s, estimate.decode_s + estimate.suffix_s)
    return Terms(slowest_s, 0.0, _bits(estimate), 0.0)


def _energy_terms(estimate: Estimate, power: Power) -> Terms:
    own_j = estimate.device_s * power.compute_w + estimate.cloud_s * power.wait_w
    return Terms(0.0, own_j, _bits(estimate) * power.send_w, _sends(estimate) * power.wait_w)
