"""How much slower than their profiles device and cloud are now. No I/O.

The device's factor comes from prefix times; the cloud's factor and queue come from the times in replies. Waiting for
this device's own earlier frames does not count as load. Each figure follows the median of the last few frames: on a
busy machine one frame in twenty takes several times as long, which does not mean that the device is slower.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

from partway.partitioner.decide.estimate import Estimate
from partway.proto.frame import Durations

GAIN = 0.2
LEAST_CHANGE = 0.1
"""Estimates are updated when a factor or the queue changes by this share..."""
EVERY_S = 0.2
"""... at two checks in a row, at least this far apart, so that short disturbances are ignored."""
LEAST_QUEUE_S = 1e-3
FADE_S = 10.0
"""Time constant with which the load of an unused cloud is forgotten."""
MOST_STEP = 5.0
"""A single observation counts as at most this multiple of the factor, up or down."""
RECENT = 9
"""How many frames the median covers; with fewer than LEAST there is no median."""
LEAST = 3


class Recent:
    """The median of the last few values of a figure."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=RECENT)

    def median(self, seen: float) -> float | None:
        """The median including ``seen``; None while there are too few. An even count takes the lower middle value."""
        self._seen.append(seen)
        count = len(self._seen)
        return sorted(self._seen)[(count - 1) // 2] if count >= LEAST else None

    def clear(self) -> None:
        """Forget all values."""
        self._seen.clear()


class Slowdown:
    """``factors``: device and cloud as multiples of their profiles, and seconds that frames wait in the cloud."""

    def __init__(self, estimates: Sequence[Estimate]) -> None:
        self._base = [_as_measured(estimate) for estimate in estimates]
        self._prefix_s = {e.candidate.k: e.prefix_s for e in reversed(estimates)}
        self._suffix_s = {e.candidate.k: e.suffix_s for e in reversed(estimates) if e.candidate.codec is not None}
        self._queue0_s = max((e.queue_s for e in estimates), default=0.0)
        self._device = self._cloud = 1.0
        self._queue_s = self._queue0_s
        self._prefixes, self._suffixes, self._queues = Recent(), Recent(), Recent()
        self._received_s = float("-inf")
        self._estimated_for = (1.0, 1.0, self._queue_s)
        self._looked_s = float("-inf")
        self._moved = (0.0, 0.0, 0.0)

    @property
    def factors(self) -> tuple[float, float, float]:
        """The device's factor, the cloud's factor, and the queue in seconds."""
        return self._device, self._cloud, self._queue_s

    def prefix(self, k: int, seconds: float) -> None:
        """Stages 0 to k took ``seconds`` a frame on the device."""
        profiled_s = self._prefix_s.get(k)
        if profiled_s and (seen := self._prefixes.median(seconds / profiled_s)) is not None:
            self._device = _step_towards(self._device, seen)

    def cloud(self, k: int, count: int, durations: Durations, sent_s: float, received_s: float) -> None:
        """The cloud answered ``count`` frames cut at k."""
        profiled_s = self._suffix_s.get(k)
        if profiled_s and durations.suffix_s > 0:
            seen = self._suffixes.median(durations.suffix_s / count / profiled_s)
            self._cloud = self._cloud if seen is None else _step_towards(self._cloud, seen)
        own_frames_s = max(0.0, self._received_s - (received_s - sum(durations)))
        waited_s = self._queues.median(max(0.0, durations.queue_s - own_frames_s))
        if waited_s is not None:
            self._queue_s += GAIN * (waited_s - self._queue_s)
        self._received_s = received_s

    def cloud_changed(self) -> None:
        """Another cloud is in use: forget what was observed of the previous one."""
        self._cloud, self._queue_s = 1.0, self._queue0_s
        self._received_s = float("-inf")
        self._suffixes.clear()
        self._queues.clear()

    def queue(self, seconds: float) -> None:
        """The cloud reports that a frame would wait ``seconds`` there now."""
        self._queue_s += 0.5 * (seconds - self._queue_s)

    def finish_s(self, k: int) -> float:
        """Seconds that stages k to the last take on the device now; 0 if not measured."""
        stages = max(self._prefix_s, default=0)
        return max(0.0, self._prefix_s.get(stages, 0.0) - self._prefix_s.get(k, 0.0)) * self._device

    def estimates(self, now_s: float) -> list[Estimate] | None:
        """All estimates with the current factors; None while the previous ones are still valid."""
        if now_s - self._looked_s < EVERY_S:
            return None
        quiet_s = now_s - self._received_s
        if quiet_s > 1.0 and self._received_s > 0:
            fade = exp(-min(now_s - self._looked_s, FADE_S) / FADE_S)
            self._cloud, self._queue_s = self._cloud**fade, self._queue_s * fade
            self._suffixes.clear()
            self._queues.clear()
        self._looked_s = now_s
        device, cloud, queue_s = self._estimated_for
        queued = (self._queue_s - queue_s) / (LEAST_QUEUE_S + LEAST_CHANGE * queue_s) * LEAST_CHANGE
        before, self._moved = self._moved, (log(self._device / device), log(self._cloud / cloud), queued)
        confirmed = any(
            a * b > 0 and min(abs(a), abs(b)) >= LEAST_CHANGE for a, b in zip(before, self._moved, strict=True)
        )
        return self.now() if confirmed else None

    def now(self) -> list[Estimate]:
        """All estimates with the current factors."""
        self._estimated_for, self._moved = self.factors, (0.0, 0.0, 0.0)
        return [self._scaled(estimate) for estimate in self._base]

    def _scaled(self, estimate: Estimate) -> Estimate:
        device, cloud, queue_s = self.factors
        sends = estimate.candidate.codec is not None
        return replace(
            estimate,
            prefix_s=estimate.prefix_s * device,
            suffix_s=estimate.suffix_s * cloud,
            queue_s=queue_s if sends else 0.0,
        )


def _as_measured(estimate: Estimate) -> Estimate:
    """The estimate with the parts of its trial frames, but its own candidate, which is the key for look-ups."""
    return replace(estimate.best_known, candidate=estimate.candidate, measured=None, measured_s=None)


def _step_towards(factor: float, seen: float) -> float:
    """The factor moved one step towards the observed ratio ``seen``."""
    off = min(max(log(max(seen, 1e-6) / factor), -log(MOST_STEP)), log(MOST_STEP))
    return factor * exp(GAIN * off)
