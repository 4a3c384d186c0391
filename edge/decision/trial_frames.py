"""Trial frames, sent one at a time. Only frames that the cloud itself answered count as measurements."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from time import perf_counter

from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.errors import LinkLost, PartwayError
from partway.partitioner.decide.estimate import Candidate

log = logging.getLogger("partway.edge")

TRIAL_FRAMES = 8
COLD_FRAMES = 2
TRIAL_S = 1.5
"""No candidate is tried for longer than this, except that at least two frames are sent."""
MOST_REFUSED = 3
"""After so many refusals in a row a candidate is not tried further."""
FULL_S = 3.0
"""The longest total wait for a full cloud during start-up."""


class TrialFrames:
    """Sends ``sample`` through candidates of one runner, one frame at a time (its window and batch are 1)."""

    def __init__(self, runner: Runner, sample: Sample, full_s: float = FULL_S) -> None:
        self._runner, self._sample = runner, replace(sample, read_s=0.0, live=False)
        self._wait_budget_s = full_s
        self._sent = 0
        self._warned = False

    def __call__(self, candidate: Candidate) -> list[FrameResult]:
        """The results of TRIAL_FRAMES frames, or as many as TRIAL_S allows, without the first, cold ones.

        Empty if the cloud refused them: refused frames measure nothing. Raises LinkLost when the cloud is lost.
        """
        found: list[FrameResult] = []
        refused, until_s = 0, perf_counter() + TRIAL_S
        while len(found) < TRIAL_FRAMES + COLD_FRAMES and (perf_counter() < until_s or len(found) < 2):
            begun_s, result = perf_counter(), self._send_one(candidate)
            if candidate.codec is None or result.answered_by == "cloud":
                found.append(result)
                refused = 0
                continue
            refused += 1
            if not self._wait_to_retry(result, refused):
                self._warn_refused()
                break
            until_s += perf_counter() - begun_s
        return found[min(COLD_FRAMES, max(len(found) - 1, 0)) :]

    def _send_one(self, candidate: Candidate) -> FrameResult:
        self._sent += 1
        (result,) = self._runner.run([self._sample], lambda: candidate, first_id=-self._sent)
        if candidate.codec is not None and (lost := self._runner.lost) is not None:
            raise LinkLost(f"{lost} during the first trial frames")
        return result

    def _wait_to_retry(self, result: FrameResult, refused: int) -> bool:
        """Whether to retry, within bounds: after a full cloud's requested wait, or at once after another refusal."""
        full_s = self._runner.full_s
        if full_s <= 0:
            if refused >= MOST_REFUSED and result.answered_by == NOBODY:
                raise PartwayError(
                    "the cloud refused trial frames, and this device cannot answer them; check the cloud's log"
                )
            return refused < MOST_REFUSED
        self._wait_budget_s -= result.link_s + full_s
        if self._wait_budget_s < 0:
            return False
        time.sleep(full_s)
        return True

    def _warn_refused(self) -> None:
        """Log one warning per start, not one per candidate."""
        if not self._warned:
            log.warning("the cloud refused trial frames; candidates without a measurement keep their estimates")
        self._warned = True
