"""Frames for measuring, one at a time. Only frames that the cloud itself answered count as a measurement of it."""

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
"""No candidate is tried for longer than this, two frames apart."""
MOST_REFUSED = 3
"""Refusals of one candidate, in a row, after which it is not tried any more."""
FULL_S = 3.0
"""A full cloud is waited for so long in all, not longer: a start may not take for ever."""


class TrialFrames:
    """Sends ``sample`` through candidates of one runner, one frame at a time (its window and batch are 1)."""

    def __init__(self, runner: Runner, sample: Sample, full_s: float = FULL_S) -> None:
        self._runner, self._sample = runner, replace(sample, read_s=0.0, live=False)
        self._left_s = full_s
        self._sent = 0
        self._warned = False

    def __call__(self, candidate: Candidate) -> list[FrameResult]:
        """TRIAL_FRAMES of them, or as many as TRIAL_S allows, without the first, cold ones.

        Empty where the cloud refused them: that is no measurement. Raises LinkLost when the cloud is lost.
        """
        found: list[FrameResult] = []
        refused, until_s = 0, perf_counter() + TRIAL_S
        while len(found) < TRIAL_FRAMES + COLD_FRAMES and (perf_counter() < until_s or len(found) < 2):
            begun_s, result = perf_counter(), self._one(candidate)
            if candidate.codec is None or result.answered_by == "cloud":
                found.append(result)
                refused = 0
                continue
            refused += 1
            if not self._waited(result, refused):
                self._say_refused()
                break
            until_s += perf_counter() - begun_s
        return found[min(COLD_FRAMES, max(len(found) - 1, 0)) :]

    def _one(self, candidate: Candidate) -> FrameResult:
        self._sent += 1
        (result,) = self._runner.run([self._sample], lambda: candidate, first_id=-self._sent)
        if candidate.codec is not None and (lost := self._runner.lost) is not None:
            raise LinkLost(f"{lost} during the first trial frames")
        return result

    def _waited(self, result: FrameResult, refused: int) -> bool:
        """Whether to try again: a full cloud after as long as it asked, another refusal at once, both within bounds."""
        full_s = self._runner.full_s
        if full_s <= 0:
            if refused >= MOST_REFUSED and result.answered_by == NOBODY:
                raise PartwayError(
                    "the cloud refused trial frames, and this device cannot answer them; check the cloud's log"
                )
            return refused < MOST_REFUSED
        self._left_s -= result.link_s + full_s
        if self._left_s < 0:
            return False
        time.sleep(full_s)
        return True

    def _say_refused(self) -> None:
        """Once a start, not for every candidate."""
        if not self._warned:
            log.warning("the cloud refused trial frames; what it was not measured with is estimated")
        self._warned = True
