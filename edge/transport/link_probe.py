"""Measures the round trip and the bandwidth of a link by probes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from partway.partitioner.decide.estimate import Link

MAX_PROBE_BYTES = 1 << 20
PATIENCE = 8
"""Round trips that growing probes may take in all; on a far, fast link fewer never reach a useful size."""


def probe_link(probe: Callable[[int], float], limit_s: float = 0.25) -> Link:
    """Round trip as the median of small probes; bandwidth from growing ones, until one takes long enough."""
    small = sorted(probe(16) for _ in range(9))
    rtt_s = small[len(small) // 2]
    size = 16 << 10
    bandwidth_bps = 0.0
    limit_s = max(limit_s, PATIENCE * rtt_s)
    begun = perf_counter()
    while size <= MAX_PROBE_BYTES:
        elapsed_s = min(probe(size), probe(size)) if perf_counter() - begun < limit_s / 4 else probe(size)
        bandwidth_bps = size * 8 / max(elapsed_s - rtt_s, elapsed_s * 0.05)
        if elapsed_s - rtt_s > max(0.02, 2 * rtt_s) or perf_counter() - begun > limit_s:
            break
        size *= 4
    return Link(bandwidth_bps, rtt_s)
