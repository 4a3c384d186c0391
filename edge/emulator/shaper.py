"""How a link holds data back: a constant rate or a recorded trace, then a delay. Pure: the clock is passed in.

Rates and traces count packets on the wire: TCP's payload travels 1,448 bytes to a packet of 1,500.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Protocol

from partway.errors import InputError, mapped

PACKET_BYTES = 1500
PAYLOAD_BYTES = 1448
"""Of a packet, without IPv4 (20), TCP (20) and TCP's time stamps (12)."""


class Pace(Protocol):
    """When data has left the link's sending end."""

    def depart(self, now_s: float, size_bytes: int) -> float:
        """Seconds on the caller's clock at which the last of these payload bytes has left; they follow all before."""


def wire_bytes(payload_bytes: int) -> int:
    """Bytes on the wire for this much of a TCP stream."""
    return payload_bytes + math.ceil(payload_bytes / PAYLOAD_BYTES) * (PACKET_BYTES - PAYLOAD_BYTES)


class RatePace:
    """A constant rate in bits per second."""

    def __init__(self, rate_bps: float) -> None:
        self.rate_bps = rate_bps
        self._free_s = -math.inf

    def depart(self, now_s: float, size_bytes: int) -> float:
        """See Pace."""
        self._free_s = max(now_s, self._free_s) + wire_bytes(size_bytes) * 8 / self.rate_bps
        return self._free_s


class TracePace:
    """Opportunities to send one packet of 1,500 bytes each, at recorded times; the trace repeats when it ends.

    ``times_s`` are the opportunities' times from the trace's beginning, ascending; the last is also its length.
    """

    def __init__(self, times_s: Sequence[float]) -> None:
        self._times_s = list(times_s)
        self._length_s = self._times_s[-1]
        self._begun_s: float | None = None
        self._next = 0
        self._left_bytes = 0

    def depart(self, now_s: float, size_bytes: int) -> float:
        """See Pace."""
        if self._begun_s is None:
            self._begun_s = now_s
        self._skip(now_s - self._begun_s)
        need = wire_bytes(size_bytes) - self._left_bytes
        packets = max(0, math.ceil(need / PACKET_BYTES))
        self._left_bytes = packets * PACKET_BYTES - need
        self._next += packets
        return max(now_s, self._begun_s + self._at(self._next - 1)) if packets else now_s

    def rewind(self) -> None:
        """From the beginning again, when the next data comes."""
        self._begun_s, self._next, self._left_bytes = None, 0, 0

    def _skip(self, elapsed_s: float) -> None:
        """Opportunities that passed while there was nothing to send are gone, and so is what was left of the last."""
        rounds = math.floor(elapsed_s / self._length_s)
        within = bisect_left(self._times_s, elapsed_s - rounds * self._length_s)
        first = rounds * len(self._times_s) + within
        if first > self._next:
            self._next, self._left_bytes = first, 0

    def opportunities(self, until_s: float) -> Iterator[float]:
        """Seconds from the beginning of every opportunity before ``until_s``."""
        return takewhile(lambda at_s: at_s < until_s, map(self._at, count()))

    def _at(self, index: int) -> float:
        rounds, within = divmod(index, len(self._times_s))
        return rounds * self._length_s + self._times_s[within]


def read_trace(path: Path) -> TracePace:
    """A trace in mahimahi's format: a line per opportunity to send 1,500 bytes, its time in ms. Raises InputError."""
    why = f"{path} is no trace (one time in ms per line, ascending, as mahimahi writes them)"
    with mapped({OSError: InputError, UnicodeDecodeError: InputError}, f"trace {path} cannot be read"):
        words = path.read_text(encoding="ascii").split()
    with mapped({ValueError: InputError}, why):
        times_ms = [int(word) for word in words]
    if not times_ms or times_ms[0] < 0 or times_ms[-1] <= 0 or sorted(times_ms) != times_ms:
        raise InputError(why)
    return TracePace([ms / 1e3 for ms in times_ms])


def capacity(trace: TracePace, until_s: float, bin_s: float) -> tuple[list[float], list[float]]:
    """What a trace offers: the beginning of each bin in seconds, and bits per second in it."""
    bins = [0] * max(1, math.ceil(until_s / bin_s))
    for at_s in trace.opportunities(len(bins) * bin_s):
        bins[min(len(bins) - 1, int(at_s / bin_s))] += 1
    return [index * bin_s for index in range(len(bins))], [n * PACKET_BYTES * 8 / bin_s for n in bins]


@dataclass(slots=True)
class Shape:
    """One direction of a link: its pace, then ``delay_s`` more for every byte, ± ``jitter_s``, always in order.

    ``loss`` is the share of packets lost. What a TCP user sees of a lost packet is that it, and all behind it, come one
    recovery (``recovery_s``, a round trip) later.
    """

    pace: Pace | None = None
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    recovery_s: float = 0.2
    random: random.Random | None = None
    _last_s: float = -math.inf

    def arrive(self, now_s: float, size_bytes: int) -> float:
        """Seconds on the caller's clock at which the last of these bytes is there."""
        rng = self.random or random
        left_s = now_s if self.pace is None else self.pace.depart(now_s, size_bytes)
        late_s = rng.uniform(-self.jitter_s, self.jitter_s) if self.jitter_s else 0.0
        if self.loss:
            packets = math.ceil(size_bytes / PAYLOAD_BYTES)
            late_s += self.recovery_s * sum(rng.random() < self.loss for _ in range(packets))
        self._last_s = max(self._last_s, left_s + max(0.0, self.delay_s + late_s))
        return self._last_s

    def chunk_bytes(self) -> int:
        """How much to pass on at once, so that data trickles as it would: a packet, or 1 ms of a fast link."""
        rate_bps = self.pace.rate_bps if isinstance(self.pace, RatePace) else 0.0
        return int(min(max(PAYLOAD_BYTES, rate_bps / 8 * 1e-3), 65_536))
