"""How fast device and cloud are now, against the profiles that the estimates were made of. Pure.

The device's pace comes from prefixes, the cloud's from suffixes and from what frames wait there, as replies tell. Our
own frames in front of a frame are no load: what it waited for them is taken out. Each follows the median of the last
few frames: on a busy machine one frame in twenty takes several times as long, and that is no slower device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

from partway.partitioner.decide.estimate import Estimate
from partway.proto.frame import Durations

GAIN = 0.2
DRIFT = 0.1
"""Estimates are made anew when a pace has moved by this share, or the queue by this share of itself..."""
EVERY_S = 0.2
"""... at two looks in a row, which are so far apart: what is over by then was no change of pace."""
LEAST_QUEUE_S = 1e-3
FADE_S = 10.0
"""Of a cloud that nothing is sent to, the load is forgotten like this."""
WILD = 5.0
"""One step goes towards at most so many times the pace, either way."""
RECENT = 9
"""Frames of which the median counts; fewer than LEAST say nothing yet."""
LEAST = 3


class Recent:
    """The median of the last few of some figure."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=RECENT)

    def median(self, seen: float) -> float | None:
        """With this one; None while there are too few. Of an even number the lower middle one."""
        self._seen.append(seen)
        count = len(self._seen)
        return sorted(self._seen)[(count - 1) // 2] if count >= LEAST else None

    def clear(self) -> None:
        """What was seen is too old."""
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
        self._made_for = (1.0, 1.0, self._queue_s)
        self._made_s = float("-inf")
        self._moved = (0.0, 0.0, 0.0)

    @property
    def factors(self) -> tuple[float, float, float]:
        """Device, cloud, queue."""
        return self._device, self._cloud, self._queue_s

    def prefix(self, k: int, seconds: float) -> None:
        """Stages 0 to k took so long, a frame."""
        known_s = self._prefix_s.get(k)
        if known_s and (seen := self._prefixes.median(seconds / known_s)) is not None:
            self._device = _followed(self._device, seen)

    def cloud(self, k: int, count: int, durations: Durations, sent_s: float, received_s: float) -> None:
        """A reply to ``count`` frames cut at k."""
        known_s = self._suffix_s.get(k)
        if known_s and durations.suffix_s > 0:
            seen = self._suffixes.median(durations.suffix_s / count / known_s)
            self._cloud = self._cloud if seen is None else _followed(self._cloud, seen)
        ours_s = max(0.0, self._received_s - (received_s - sum(durations)))
        waited_s = self._queues.median(max(0.0, durations.queue_s - ours_s))
        if waited_s is not None:
            self._queue_s += GAIN * (waited_s - self._queue_s)
        self._received_s = received_s

    def another_cloud(self) -> None:
        """What was seen of the cloud is of one that is not in use any more."""
        self._cloud, self._queue_s = 1.0, self._queue0_s
        self._received_s = float("-inf")
        self._suffixes.clear()
        self._queues.clear()

    def queue(self, seconds: float) -> None:
        """What a frame would wait in the cloud now, by its own word."""
        self._queue_s += 0.5 * (seconds - self._queue_s)

    def finish_s(self, k: int) -> float:
        """What stages k to the last take on the device now; 0 where that was not measured."""
        whole = max(self._prefix_s, default=0)
        return max(0.0, self._prefix_s.get(whole, 0.0) - self._prefix_s.get(k, 0.0)) * self._device

    def estimates(self, now_s: float) -> list[Estimate] | None:
        """All of them at the present pace; None while those made before are still good."""
        if now_s - self._made_s < EVERY_S:
            return None
        quiet_s = now_s - self._received_s
        if quiet_s > 1.0 and self._received_s > 0:
            fade = exp(-min(now_s - self._made_s, FADE_S) / FADE_S)
            self._cloud, self._queue_s = self._cloud**fade, self._queue_s * fade
            self._suffixes.clear()
            self._queues.clear()
        self._made_s = now_s
        device, cloud, queue_s = self._made_for
        queued = (self._queue_s - queue_s) / (LEAST_QUEUE_S + DRIFT * queue_s) * DRIFT
        before, self._moved = self._moved, (log(self._device / device), log(self._cloud / cloud), queued)
        lasts = any(a * b > 0 and min(abs(a), abs(b)) >= DRIFT for a, b in zip(before, self._moved, strict=True))
        return self.now() if lasts else None

    def now(self) -> list[Estimate]:
        """All of them at the present pace."""
        self._made_for, self._moved = self.factors, (0.0, 0.0, 0.0)
        return [self._paced(estimate) for estimate in self._base]

    def _paced(self, estimate: Estimate) -> Estimate:
        device, cloud, queue_s = self.factors
        sends = estimate.candidate.codec is not None
        return replace(
            estimate,
            prefix_s=estimate.prefix_s * device,
            suffix_s=estimate.suffix_s * cloud,
            queue_s=queue_s if sends else 0.0,
        )


def _as_measured(estimate: Estimate) -> Estimate:
    """With the parts and bytes that trial frames had, but the same candidate, for that is what is asked for."""
    return replace(estimate.best_known, candidate=estimate.candidate, measured=None, measured_s=None)


def _followed(pace: float, seen: float) -> float:
    """The pace moved a step towards what was seen, as a ratio."""
    off = min(max(log(max(seen, 1e-6) / pace), -log(WILD)), log(WILD))
    return pace * exp(GAIN * off)
