"""What the link is like now, from the traffic itself: bandwidth, round trip, and how sure that is. Pure.

A frame that begins on an idle link takes ``rtt + bytes * g`` from sending to result, the cloud's own seconds taken off;
g is seconds per byte. One that was sent while an earlier one of ours was still on its way follows it by ``bytes * g``:
that is how our own queueing is taken out. Both are linear in (rtt, g), so a Kalman filter with two states follows them;
its noise is relative, an outlier moves it three deviations at most, and a second one on the same side is taken for what
it is: a change. Only this machine's clock is used, and only for durations.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

from partway.partitioner.decide.estimate import Link

LEAST_RTT_S = 1e-5
LEAST_S_PER_BYTE = 8e-11
"""100 Gbps: faster than anything that is told apart here."""
MOST_S_PER_BYTE = 8e-3
"""1 kbps: a link on which nothing can be decided any more."""
JITTER_S = 1e-3
"""What timing a frame on a busy machine is worth at best."""
JITTER = 0.15
"""Relative noise of one observation on a radio link."""
DRIFT_S_PER_BYTE = 0.5
"""How much g walks in a second, as a share of itself; the round trip much less."""
DRIFT_RTT = 0.02
DOUBT_S_PER_BYTE, DOUBT_RTT = 0.5, 0.3
"""Of a link measured beforehand, as shares."""
OUTLIER = 3.0
LEAST_SHARE, RTT_SHARE = 0.3, 0.1
"""Of a sudden change, what the bandwidth may be to blame for at least, and the round trip at most.

Small frames cannot tell one from the other, and a device that takes a thin link for a near one goes on sending small
frames: on recorded cellular links, a round trip blamed as much as the bandwidth kept it there for most of a minute.
"""


@dataclass(frozen=True, slots=True)
class LinkEstimate:
    """The link, and ``confidence`` from 0 (nothing known) to 1 (the bandwidth is known to a few percent)."""

    link: Link
    confidence: float


class LinkEstimator:
    """Fed with one frame or probe after another, in the order of their results."""

    def __init__(self, link: Link | None = None, now_s: float = 0.0) -> None:
        self._rtt_s, self._g = 0.0, 0.0
        self._rr = self._rg = self._gg = 0.0
        self._known = False
        self._link: Link | None = None
        self._updated_s = now_s
        self._arrived_s = float("-inf")
        self._outliers = 0
        self._late_s = 0.0
        if link is not None:
            self.reset(link, now_s)

    def reset(self, link: Link, now_s: float) -> None:
        """Begin anew from a measured link: after a loss, or at the start."""
        self._link = None
        self._rtt_s = max(link.rtt_s, LEAST_RTT_S)
        self._g = min(max(8 / link.bandwidth_bps, LEAST_S_PER_BYTE), MOST_S_PER_BYTE)
        self._rr, self._rg, self._gg = (DOUBT_RTT * self._rtt_s) ** 2, 0.0, (DOUBT_S_PER_BYTE * self._g) ** 2
        self._known, self._updated_s = True, now_s
        self._arrived_s, self._outliers, self._late_s = float("-inf"), 0, 0.0

    def frame(self, bytes_up: int, bytes_down: int, sent_s: float, received_s: float, cloud_s: float) -> None:
        """A frame of ours: when it was sent and its result came, on this clock; ``cloud_s``: queue, decoding, suffix.

        All frames of ours on one connection have to be told, in the order of their results.
        """
        arrived_s = received_s - cloud_s
        before_s, self._arrived_s = self._arrived_s, max(self._arrived_s, arrived_s)
        size = float(bytes_up + bytes_down)
        if before_s > sent_s + self._rtt_s:
            gap_s = max(arrived_s - before_s, 0.0)
            caught_up_s = min(self._late_s, max(size * self._g - gap_s, 0.0))  # what piled up behind a late frame
            self._late_s -= caught_up_s
            self._observe(0.0, size, gap_s + caught_up_s, received_s)
        else:
            self._late_s = 0.0
            self._observe(1.0, size, max(arrived_s - sent_s, LEAST_RTT_S), received_s)

    def probe(self, size_bytes: int, seconds: float, now_s: float) -> None:
        """A probe on an otherwise idle link: bytes there and back, and seconds, the cloud's own taken off."""
        self._observe(1.0, float(size_bytes), max(seconds, LEAST_RTT_S), now_s)

    def overdue(self, bytes_up: int, waited_s: float, now_s: float) -> None:
        """A frame that has been on its way for so long and is not answered: the link is at best this fast."""
        if self._known and waited_s > self._rtt_s + bytes_up * self._g:
            self._outliers = max(self._outliers, 1)
            self._observe(1.0, float(bytes_up), waited_s, now_s)

    def _observe(self, h: float, size: float, seconds: float, now_s: float) -> None:
        """One step of the filter: ``seconds = h * rtt + size * g`` and noise."""
        if not self._known:
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
                self._outliers, self._late_s = 0, 0.0
            else:
                self._late_s = max(off_s, 0.0)
                noise = noise * (off_s * off_s) / (OUTLIER * OUTLIER * (spread + noise))
        else:
            self._outliers = 0
        self._step(h, size, off_s, spread + noise)

    def _changed(self, h: float, size: float, off_s: float, expected_s: float) -> tuple[float, float]:
        """Doubt what was known so far, the bandwidth more than the round trip; returns new spread and noise."""
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
        # Faster than ten times what was known is not believed in one step, nor is less than nothing.
        self._g = min(max(self._g + kg * off_s, self._g / 10, LEAST_S_PER_BYTE), MOST_S_PER_BYTE)
        self._rr = max(self._rr - kr * pr, 0.0)
        self._gg = max(self._gg - kg * pg, 0.0)
        self._rg -= kr * pg
        self._bound()

    def _bound(self) -> None:
        most = 0.99 * sqrt(self._rr * self._gg)
        self._rg = min(max(self._rg, -most), most)

    def at(self, now_s: float) -> LinkEstimate | None:
        """What is known now; None before the first frame. Confidence fades while nothing is sent."""
        if not self._known:
            return None
        elapsed_s = max(now_s - self._updated_s, 0.0)
        doubt = sqrt(self._gg + (DRIFT_S_PER_BYTE * self._g) ** 2 * elapsed_s) / self._g
        return LinkEstimate(Link(8 / self._g, self._rtt_s), 1 / (1 + doubt))

    @property
    def updated_s(self) -> float:
        """When a frame or a probe last told something."""
        return self._updated_s

    @property
    def link(self) -> Link | None:
        """The link alone."""
        if self._link is None and self._known:
            self._link = Link(8 / self._g, self._rtt_s)
        return self._link
