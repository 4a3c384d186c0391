"""Chooses the candidate for each frame, by the current state of link, device and cloud.

A change of cut loads nothing and costs nothing, but flapping between equally good candidates helps nobody. So the
candidate changes only if another is better by HYSTERESIS, and not within DWELL_S of the last change. A lost cloud
causes a change at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING

from partway.edge.decision.bandwidth import LinkEstimator
from partway.edge.decision.slowdown import Slowdown
from partway.edge.pipeline.in_flight import FrameGroup, Watch
from partway.errors import LinkLost
from partway.partitioner.decide.candidates import candidate_name
from partway.partitioner.decide.estimate import Candidate, Estimate, Link
from partway.partitioner.decide.objectives import Objective, Terms, best, crossing_bytes
from partway.partitioner.decide.shipped_objectives import latency_terms
from partway.partitioner.plan.plan import Plan
from partway.proto.frame import Durations

if TYPE_CHECKING:
    from partway.edge.transport.cloud_monitor import Probed

log = logging.getLogger("partway.edge")

HYSTERESIS = 0.1
DWELL_S = 1.0
IDLE_S = 1.0
"""After this time without frames the link is probed, and again each time it passes."""
AHEAD_S = 0.5
"""Frames in flight may fill the link for this long; more would only wait."""
LEAST_AHEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """A change of candidate: the first frame that takes the new one, and the reason in one sentence."""

    frame: int
    before: Candidate
    after: Candidate
    reason: str


class SplitController(Watch):
    """A Runner's ``watch`` that also gives it candidates, chosen from ``estimates``.

    If not ``free``, it always gives ``chosen`` while a cloud is connected. ``fallback`` is the candidate without a
    cloud. ``probes`` gives new probes of an unused link, ``withdrawals`` gives withdrawn candidates with the reason.
    ``waiting`` tells whether frames are in flight. Unless it ``adapts_window``, the runner's own window counts.
    """

    def __init__(
        self,
        estimates: Sequence[Estimate],
        chosen: Candidate,
        objective: Objective,
        plan: Plan,
        link: Link | None,
        free: bool = True,
        clock: Callable[[], float] = perf_counter,
        *,
        adapts_window: bool = True,
        waiting: Callable[[], bool] = lambda: False,
        probes: Callable[[], Iterable[Probed]] = tuple,
        withdrawals: Callable[[], Iterable[tuple[Candidate, str]]] = tuple,
    ) -> None:
        self.plan, self._objective, self._clock = plan, objective, clock
        self._fixed = None if free else chosen
        on_device = (e.candidate for e in estimates if e.candidate.codec is None)
        self.fallback = next(on_device, Candidate(len(plan.stages), None))
        self.changes: list[Change] = []
        self.link = LinkEstimator(link, clock())
        self.slowdown = Slowdown(estimates)
        self.linked = self.connected = link is not None
        self.present = chosen
        self._changed_s = clock()
        self._why = ""
        self.adapts_window = adapts_window
        self._waiting = waiting
        self._probes, self._withdrawals = probes, withdrawals
        self._withdrawn: set[Candidate] = set()
        self._terms: dict[Candidate, Terms] = {}
        self._estimates: dict[Candidate, Estimate] = {}
        self._decided_by = (link, *self.slowdown.factors)

    def __call__(self) -> Candidate:
        """The candidate for the next frame."""
        now_s = self._clock()
        for candidate, why in self._withdrawals():
            self._withdraw(candidate, why, now_s)
        if not self.connected:
            if self.present != self.fallback and self.linked:
                self._change(self.fallback, self._why, now_s)
            return self.present
        for probed in self._probes():
            self.link.probe(probed.size_bytes, probed.seconds, probed.at_s)
            self.slowdown.queue(probed.queue_s)
        self._refresh(now_s)
        link = self.link.link
        if self._fixed is not None:
            if self.present != self._fixed:
                self._change(self._fixed, self._why, now_s)
            return self._fixed
        if link is None or now_s - self._changed_s < DWELL_S:
            return self.present
        chosen, best_score = self._best(link)
        if chosen == self.present:
            return chosen
        score = self._score(self.present, link)
        if score - best_score > max(HYSTERESIS * score, self._objective.noise_floor):
            self._change(chosen, self._reason(link, score, best_score), now_s)
        self._why = ""
        return self.present

    def _best(self, link: Link) -> tuple[Candidate, float]:
        chosen = self._best_of(self._terms, link)
        return chosen, self._score(chosen, link)

    def _best_of(self, candidates: Iterable[Candidate], link: Link) -> Candidate:
        return best(candidates, lambda one: self._score(one, link), lambda one: self._tie_break(one, link))

    def _tie_break(self, candidate: Candidate, link: Link) -> tuple[float, float]:
        estimate = self._estimates[candidate]
        return latency_terms(estimate).at(link.bandwidth_bps, link.rtt_s), crossing_bytes(estimate)

    def _score(self, candidate: Candidate, link: Link) -> float:
        terms = self._terms.get(candidate)
        return float("inf") if terms is None else terms.at(link.bandwidth_bps, link.rtt_s)

    def _refresh(self, now_s: float) -> None:
        """Compute new scores if the slowdown of device or cloud has changed since the last ones."""
        estimates = self.slowdown.estimates(now_s)
        if estimates is not None or not self._terms:
            current = estimates or self.slowdown.now()
            self._estimates = {estimate.candidate: estimate for estimate in current}
            terms = {candidate: self._objective.terms(estimate) for candidate, estimate in self._estimates.items()}
            self._terms = {candidate: term for candidate, term in terms.items() if candidate not in self._withdrawn}

    def _withdraw(self, candidate: Candidate, why: str, now_s: float) -> None:
        """Exclude a candidate for good, and change at once if it is in use. A fixed split stays, with another codec."""
        self._refresh(now_s)
        self._withdrawn.add(candidate)
        self._terms.pop(candidate, None)
        link = self.link.link
        fixed = self._fixed == candidate
        if fixed:
            same_split = [one for one in self._terms if one.k == candidate.k]
            self._fixed = self._best_of(same_split, link) if same_split and link is not None else self.fallback
        if self.present != candidate:
            return
        chosen = self._fixed if fixed else self._best(link)[0] if link is not None and self._terms else self.fallback
        assert chosen is not None
        self._change(chosen, why, now_s)

    def _change(self, candidate: Candidate, reason: str, now_s: float) -> None:
        change = Change(self.frame_id, self.present, candidate, reason)
        self.changes.append(change)
        names = [candidate_name(each, self.plan) for each in (self.present, candidate)]
        log.warning("from frame %d on %s instead of %s: %s", change.frame, names[1], names[0], reason)
        self.present, self._changed_s = candidate, now_s
        self._decided_by = (self.link.link, *self.slowdown.factors)

    def _reason(self, link: Link, score: float, best_score: float) -> str:
        before, device, cloud, queue_s = self._decided_by
        factors = self.slowdown.factors
        changes = {
            f"the link is now {link}": 0.0 if before is None else _ratio(link.bandwidth_bps, before.bandwidth_bps),
            f"the link is {link} now": 0.0 if before is None else _ratio(link.rtt_s, before.rtt_s),
            f"this device takes {factors[0]:.2g} times its profile": _ratio(factors[0], device),
            f"the cloud takes {factors[1]:.2g} times its profile": _ratio(factors[1], cloud),
            f"frames wait {factors[2] * 1e3:.3g} ms in the cloud": _ratio(factors[2] + 0.02, queue_s + 0.02),
        }
        why = max(changes, key=changes.__getitem__)
        show = self._objective.show
        return f"{self._why or why}: {show(best_score)} against {show(score)}"

    def opened(self) -> None:
        """See Watch."""
        self.connected, self._why = True, "a cloud is available again"

    def relinked(self, link: Link) -> None:
        """Frames use a newly measured link, to another cloud or to the same one after a loss."""
        self.link.reset(link, self._clock())
        self.slowdown.cloud_changed()

    def idle(self) -> bool:
        """Whether the link has been unused long enough for a probe.

        Never while a frame is in flight: a probe behind a large frame would measure a slow link.
        """
        return not self._waiting() and self._clock() - self.link.updated_s > IDLE_S

    def link_and_queue(self) -> tuple[Link, float] | None:
        """The current link, and the seconds that frames wait in the cloud; None while the link is unknown."""
        return None if self.link.link is None else (self.link.link, self.slowdown.factors[2])

    def lost(self, error: LinkLost) -> None:
        """See Watch."""
        self.connected, self._why = False, str(error)

    def prefix(self, k: int, seconds: float) -> None:
        """See Watch."""
        self.slowdown.prefix(k, seconds)

    def answered(self, group: FrameGroup, durations: Durations, received_s: float, size_bytes: int) -> None:
        """See Watch."""
        self._why = ""
        if not group.resent:
            self.slowdown.cloud(group.candidate.k, len(group.samples), durations, group.sent_s, received_s)
            self.link.frame(group.bytes_sent, size_bytes, group.sent_s, received_s, sum(durations))

    def given_up(self, group: FrameGroup, now_s: float) -> None:
        """See Watch."""
        self.link.overdue(group.bytes_sent, now_s - group.sent_s, now_s)

    def expected_s(self, candidate: Candidate, ahead_bytes: int) -> float | None:
        """See Watch."""
        link = self.link.link
        estimate = self._estimates.get(candidate)
        if link is None or candidate.codec is None:
            return None
        cloud_s = estimate.cloud_s if estimate is not None else 0.0
        return link.transfer_s(candidate.size_bytes + candidate.reply_bytes + ahead_bytes) + cloud_s

    def finish_s(self, k: int) -> float:
        """See Watch."""
        return self.slowdown.finish_s(k)

    def window(self, candidate: Candidate, behind: bool = False) -> int:
        """Enough groups that the slowest of device, link and cloud never waits, plus one.

        For the latency objective one, unless frames are ``behind``: more in flight would only delay each frame.
        """
        if not self.adapts_window:
            return 1 << 30
        if self._objective.is_latency and not behind:
            return 1
        link, estimate = self.link.link, self._estimates.get(candidate)
        if link is None or estimate is None or candidate.codec is None:
            return 1
        transfer_s = link.transfer_s(candidate.size_bytes + candidate.reply_bytes) - link.rtt_s
        suffix_s = estimate.decode_s + estimate.suffix_s
        slowest_s = max(estimate.device_s, transfer_s, suffix_s, 1e-4)
        return ceil((transfer_s + link.rtt_s + suffix_s) / slowest_s) + 1

    def most_bytes(self) -> float:
        """See Watch."""
        link = self.link.link
        return LEAST_AHEAD_BYTES + (0.0 if link is None else link.bandwidth_bps / 8 * (link.rtt_s + AHEAD_S))


def _ratio(now: float, before: float) -> float:
    """The ratio of the larger to the smaller."""
    low, high = sorted((max(now, 1e-9), max(before, 1e-9)))
    return high / low
