"""Ranks estimates by an objective, with the times of trial frames where there are any."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from partway.edge.pipeline.result import FrameResult
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.decide.objectives import Objective, objective, order

PARTS = ("read_s", "prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s")


@dataclass(frozen=True, slots=True)
class Ranking:
    """Compares estimates for one link by an objective; ``rtt_s`` is the link's round trip in seconds."""

    objective: Objective
    rtt_s: float = 0.0

    def score(self, estimate: Estimate) -> float:
        """The score, lower is better: seconds, seconds between answers, bytes or joules."""
        return self.objective.score(estimate, self.rtt_s)

    def order(self, estimate: Estimate) -> tuple[float, float, float]:
        """The sort key: score, then seconds, then bytes."""
        return order(estimate, self.objective, self.rtt_s)

    def best(self, estimates: Sequence[Estimate]) -> Estimate:
        """The first estimate in that order."""
        return self.objective.best(estimates, self.rtt_s)

    def show(self, estimate: Estimate) -> str:
        """The score for people."""
        return self.objective.show(self.score(estimate))

    def show_with_unit(self, estimate: Estimate) -> str:
        """The score for people, with its unit; latency has none, since its seconds are always per frame."""
        unit = "" if self.objective.is_latency else self.objective.unit
        return f"{self.show(estimate)} {unit}".rstrip()


BY_LATENCY = Ranking(objective())


def measured(candidate: Candidate, results: Sequence[FrameResult]) -> Estimate:
    """An estimate from trial frames: medians of parts, of bytes both ways and, as ``measured_s``, of the totals.

    The parts come from frames that the cloud answered; only without any, from frames that the device finished.
    """
    total_s = statistics.median(result.total_s for result in results)
    sent = [result for result in results if result.answered_by == "cloud"] or results
    pairs = [(result.bytes_sent, result.bytes_received) for result in sent]
    sizes = [round(statistics.median(bytes_)) for bytes_ in zip(*pairs, strict=True)]
    parts = {part: statistics.median(getattr(result, part) for result in sent) for part in PARTS}
    as_sent = replace(candidate, size_bytes=sizes[0], reply_bytes=sizes[1])
    return Estimate(as_sent, **parts, measured_s=total_s)
