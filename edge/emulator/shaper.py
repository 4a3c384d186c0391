"""How a link delays data: by a constant rate or a recorded trace, then by a delay. Pure: the clock is passed in.

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
"""Payload of a packet: without the headers of IPv4 (20) and TCP (20) and TCP's time stamps (12)."""


class Pace(Protocol):
    """The rate of a link: when data has left its sending end."""

    def depart(self, now_s: float, size_bytes: int) -> float:
        """The time on the caller's clock at which the last of these payload bytes has left, after all earlier ones."""


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
        self._spare_bytes = 0

    def depart(self, now_s: float, size_bytes: int) -> float:
        """See Pace."""
        if self._begun_s is None:
            self._begun_s = now_s
        self._skip(now_s - self._begun_s)
        need = wire_bytes(size_bytes) - self._spare_bytes
        packets = max(0, math.ceil(need / PACKET_BYTES))
        self._spare_bytes = packets * PACKET_BYTES - need
        self._next += packets
        return max(now_s, self._begun_s + self._at(self._next - 1)) if packets else now_s

    def rewind(self) -> None:
        """Restart the trace when the next data arrives."""
        self._begun_s, self._next, self._spare_bytes = None, 0, 0

    def _skip(self, elapsed_s: float) -> None:
        """Drop the opportunities that passed without data, and the unused rest of the last one."""
        rounds = math.floor(elapsed_s / self._length_s)
        within = bisect_left(self._times_s, elapsed_s - rounds * self._length_s)
        first = rounds * len(self._times_s) + within
        if first > self._next:
            self._next, self._spare_bytes = first, 0

    def opportunities(self, until_s: float) -> Iterator[float]:
        """The times of all opportunities before ``until_s``, in seconds from the trace's beginning."""
        return takewhile(lambda at_s: at_s < until_s, map(self._at, count()))

    def _at(self, index: int) -> float:
        rounds, within = divmod(index, len(self._times_s))
        return rounds * self._length_s + self._times_s[within]


def read_trace(path: Path) -> TracePace:
    """A trace in mahimahi's format: a line per opportunity to send 1,500 bytes, its time in ms. Raises InputError."""
    why = f"{path} is not a trace (one time in ms per line, ascending, as mahimahi writes them)"
    with mapped({OSError: InputError, UnicodeDecodeError: InputError}, f"trace {path} cannot be read"):
        words = path.read_text(encoding="ascii").split()
    with mapped({ValueError: InputError}, why):
        times_ms = [int(word) for word in words]
    if not times_ms or times_ms[0] < 0 or times_ms[-1] <= 0 or sorted(times_ms) != times_ms:
        raise InputError(why)
    return TracePace([ms / 1e3 for ms in times_ms])


def capacity(trace: TracePace, until_s: float, bin_s: float) -> tuple[list[float], list[float]]:
    """The capacity of a trace: the beginning of each bin in seconds, and the bits per second in it."""
    bins = [0] * max(1, math.ceil(until_s / bin_s))
    for at_s in trace.opportunities(len(bins) * bin_s):
        bins[min(len(bins) - 1, int(at_s / bin_s))] += 1
    return [index * bin_s for index in range(len(bins))], [n * PACKET_BYTES * 8 / bin_s for n in bins]


@dataclass(slots=True)
class Shape:
    """One direction of a link: its pace, then ``delay_s`` more for every byte, ± ``jitter_s``, always in order.

    ``loss`` is the share of packets lost. To a TCP user, a lost packet and all packets behind it arrive one
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
        """The time on the caller's clock at which the last of these bytes arrives."""
        rng = self.random or random
        departed_s = now_s if self.pace is None else self.pace.depart(now_s, size_bytes)
        late_s = rng.uniform(-self.jitter_s, self.jitter_s) if self.jitter_s else 0.0
        if self.loss:
            packets = math.ceil(size_bytes / PAYLOAD_BYTES)
            late_s += self.recovery_s * sum(rng.random() < self.loss for _ in range(packets))
        self._last_s = max(self._last_s, departed_s + max(0.0, self.delay_s + late_s))
        return self._last_s

    def chunk_bytes(self) -> int:
        """How many bytes to pass on at once, for a realistic flow: a packet, or 1 ms of a fast link."""
        rate_bps = self.pace.rate_bps if isinstance(self.pace, RatePace) else 0.0
        return int(min(max(PAYLOAD_BYTES, rate_bps / 8 * 1e-3), 65_536))
