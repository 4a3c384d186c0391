"""Estimates the link from the traffic itself: bandwidth, round trip and confidence. No I/O.

A frame on an idle link takes ``rtt + bytes * g`` from sending to result, without the seconds spent in the cloud; g is
seconds per byte. A frame sent behind another of this device arrives ``bytes * g`` after it, which removes the device's
own queueing. Both are linear in (rtt, g), so a Kalman filter with these two states estimates them. Its noise is
relative. One outlier moves the estimate by at most three deviations; a second on the same side counts as a change.
Only this machine's clock is used, and only for durations.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

from partway.partitioner.decide.estimate import Link

LEAST_RTT_S = 1e-5
LEAST_S_PER_BYTE = 8e-11
"""100 Gbps: faster links are not distinguished."""
MOST_S_PER_BYTE = 8e-3
"""1 kbps: slower links are not distinguished."""
JITTER_S = 1e-3
"""The least noise in timing a frame on a busy machine."""
JITTER = 0.15
"""Relative noise of one observation on a radio link."""
DRIFT_S_PER_BYTE = 0.5
"""How much g drifts in a second, as a share of itself. DRIFT_RTT is the same for the round trip."""
DRIFT_RTT = 0.02
DOUBT_S_PER_BYTE, DOUBT_RTT = 0.5, 0.3
"""Relative standard deviations of g and of the round trip after a reset to a measured link."""
OUTLIER = 3.0
LEAST_SHARE, RTT_SHARE = 0.3, 0.1
"""The least share of a sudden change attributed to the bandwidth, and the most attributed to the round trip.

Small frames cannot separate the two causes. A device that blames the round trip keeps sending small frames and never
learns the bandwidth: on recorded cellular links, equal shares kept it in that state for most of a minute.
"""


@dataclass(frozen=True, slots=True)
class LinkEstimate:
    """The link, and ``confidence`` from 0 (unknown) to 1 (the bandwidth is known within a few percent)."""

    link: Link
    confidence: float


class LinkEstimator:
    """Takes frames and probes one by one, in the order of their results."""

    def __init__(self, link: Link | None = None, now_s: float = 0.0) -> None:
        self._rtt_s, self._g = 0.0, 0.0
        self._rr = self._rg = self._gg = 0.0
        self._started = False
        self._link: Link | None = None
        self._updated_s = now_s
        self._arrived_s = float("-inf")
        self._outliers = 0
        self._backlog_s = 0.0
        if link is not None:
            self.reset(link, now_s)

    def reset(self, link: Link, now_s: float) -> None:
        """Restart from a measured link, at the start or after a loss."""
        self._link = None
        self._rtt_s = max(link.rtt_s, LEAST_RTT_S)
        self._g = min(max(8 / link.bandwidth_bps, LEAST_S_PER_BYTE), MOST_S_PER_BYTE)
        self._rr, self._rg, self._gg = (DOUBT_RTT * self._rtt_s) ** 2, 0.0, (DOUBT_S_PER_BYTE * self._g) ** 2
        self._started, self._updated_s = True, now_s
        self._arrived_s, self._outliers, self._backlog_s = float("-inf"), 0, 0.0

    def frame(self, bytes_up: int, bytes_down: int, sent_s: float, received_s: float, cloud_s: float) -> None:
        """Take an answered frame: send and receive times on this clock; ``cloud_s`` is queue, decoding and suffix.

        The caller must report every frame of a connection, in the order of the results.
        """
        arrived_s = received_s - cloud_s
        previous_s, self._arrived_s = self._arrived_s, max(self._arrived_s, arrived_s)
        size = float(bytes_up + bytes_down)
        if previous_s > sent_s + self._rtt_s:
            gap_s = max(arrived_s - previous_s, 0.0)
            caught_up_s = min(
                self._backlog_s, max(size * self._g - gap_s, 0.0)
            )  # frames that queued behind a late frame arrive early
            self._backlog_s -= caught_up_s
            self._observe(0.0, size, gap_s + caught_up_s, received_s)
        else:
            self._backlog_s = 0.0
            self._observe(1.0, size, max(arrived_s - sent_s, LEAST_RTT_S), received_s)

    def probe(self, size_bytes: int, seconds: float, now_s: float) -> None:
        """Take a probe on an otherwise idle link: bytes both ways, and seconds without the cloud's own time."""
        self._observe(1.0, float(size_bytes), max(seconds, LEAST_RTT_S), now_s)

    def overdue(self, bytes_up: int, waited_s: float, now_s: float) -> None:
        """Take a frame that has waited ``waited_s`` without an answer: the link is at most that fast."""
        if self._started and waited_s > self._rtt_s + bytes_up * self._g:
            self._outliers = max(self._outliers, 1)
            self._observe(1.0, float(bytes_up), waited_s, now_s)

    def _observe(self, h: float, size: float, seconds: float, now_s: float) -> None:
        """One step of the filter: ``seconds = h * rtt + size * g`` and noise."""
        if not self._started:
            share = 0.5 if size > 0 else 0.0
            g = share * seconds / size if size else 8e-6
            self.reset(Link(8 / max(g, LEAST_S_PER_BYTE), seconds * (1 - share) or LEAST_RTT_S), now_s)
            return
        self._walk(now_s)
        expected_s = h * self._rtt_s + size * self._g
        off_s = seconds - expected_s
        noise = hypot(JITTER_S, JITTER * expected_s) ** 2
        spread = h * h * self._rr + 2 * h * size * self._rg + size * size * self._gg
        if abs(off_s) > OUTLIER * sqrt(spread + noise):
            side = 1 if off_s > 0 else -1
            self._outliers = self._outliers + side if self._outliers * side > 0 else side
            if abs(self._outliers) >= 2:
                spread, noise = self._changed(h, size, off_s, expected_s)
                self._outliers, self._backlog_s = 0, 0.0
            else:
                self._backlog_s = max(off_s, 0.0)
                noise = noise * (off_s * off_s) / (OUTLIER * OUTLIER * (spread + noise))
        else:
            self._outliers = 0
        self._step(h, size, off_s, spread + noise)

    def _changed(self, h: float, size: float, off_s: float, expected_s: float) -> tuple[float, float]:
        """Widen the uncertainty, of the bandwidth more than of the round trip; returns the new spread and noise."""
        share = size * self._g / expected_s if expected_s > 0 else 1.0
        if size > 0:
            self._gg += (max(share, LEAST_SHARE) * off_s / size) ** 2
        if h:
            self._rr += (RTT_SHARE * (1 - share) * off_s) ** 2
        spread = h * h * self._rr + 2 * h * size * self._rg + size * size * self._gg
        return spread, hypot(JITTER_S, JITTER * (expected_s + off_s)) ** 2

    def _walk(self, now_s: float) -> None:
        elapsed_s = min(max(now_s - self._updated_s, 0.0), 10.0)
        self._updated_s = now_s
        self._gg = min(self._gg + (DRIFT_S_PER_BYTE * self._g) ** 2 * elapsed_s, (4 * self._g) ** 2)
        self._rr = min(self._rr + (DRIFT_RTT * self._rtt_s) ** 2 * elapsed_s, (4 * self._rtt_s + JITTER_S) ** 2)
        self._bound()

    def _step(self, h: float, size: float, off_s: float, variance: float) -> None:
        pr, pg = h * self._rr + size * self._rg, h * self._rg + size * self._gg
        kr, kg = pr / variance, pg / variance
        self._link = None
        self._rtt_s = max(self._rtt_s + kr * off_s, LEAST_RTT_S)
        # One step makes the link at most ten times faster, and keeps g positive.
        self._g = min(max(self._g + kg * off_s, self._g / 10, LEAST_S_PER_BYTE), MOST_S_PER_BYTE)
        self._rr = max(self._rr - kr * pr, 0.0)
        self._gg = max(self._gg - kg * pg, 0.0)
        self._rg -= kr * pg
        self._bound()

    def _bound(self) -> None:
        most = 0.99 * sqrt(self._rr * self._gg)
        self._rg = min(max(self._rg, -most), most)

    def at(self, now_s: float) -> LinkEstimate | None:
        """The estimate at ``now_s``; None before the first frame. Confidence falls while nothing is sent."""
        if not self._started:
            return None
        elapsed_s = max(now_s - self._updated_s, 0.0)
        doubt = sqrt(self._gg + (DRIFT_S_PER_BYTE * self._g) ** 2 * elapsed_s) / self._g
        return LinkEstimate(Link(8 / self._g, self._rtt_s), 1 / (1 + doubt))

    @property
    def updated_s(self) -> float:
        """When a frame or a probe last updated the estimate."""
        return self._updated_s

    @property
    def link(self) -> Link | None:
        """The estimated link; None before the first frame."""
        if self._link is None and self._started:
            self._link = Link(8 / self._g, self._rtt_s)
        return self._link
