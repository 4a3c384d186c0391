"""The objectives that ship with Partway: latency, throughput, bytes and energy; each made for a device's power."""

from __future__ import annotations

from partway.partitioner.decide.estimate import Estimate
from partway.partitioner.decide.objectives import Objective, Terms, crossing_bytes
from partway.partitioner.decide.power import Power, energy_j, show_j
from partway.units import show_bytes, show_s

TIMING_NOISE_S = 0.5e-3
"""Gains below this are within the noise of timing a frame."""


def latency_s(estimate: Estimate, _rtt_s: float = 0.0) -> float:
    """Seconds from a frame to its answer; measured where trial frames were sent."""
    return estimate.best_known_s


def latency_terms(estimate: Estimate) -> Terms:
    """The latency as a function of the link."""
    own_s = estimate.device_s + estimate.cloud_s
    return Terms(0.0, own_s, _bits(estimate), _sends(estimate))


def latency(_power: Power) -> Objective:
    """The seconds from a frame to its answer."""
    return Objective("latency", latency_s, latency_terms, show_s, noise_floor=TIMING_NOISE_S, is_latency=True)


def period_s(estimate: Estimate, rtt_s: float = 0.0) -> float:
    """Seconds between answers when frames overlap: the slowest of device, link and cloud.

    Prefix and encoding on the device, the transfer without the round trip (which delays frames, and holds none back),
    decoding and suffix in the cloud. ``rtt_s`` is what the estimate's link has.
    """
    transfer_s = max(0.0, estimate.link_s - rtt_s)
    return max(estimate.device_s, transfer_s, estimate.decode_s + estimate.suffix_s)


def throughput(_power: Power) -> Objective:
    """The seconds between answers when frames overlap."""
    return Objective(
        "throughput",
        lambda estimate, rtt_s: period_s(estimate.best_known, rtt_s),
        _period_terms,
        _show_rate,
        unit="",
        noise_floor=TIMING_NOISE_S,
        overlaps=True,
    )


def bytes_sent(_power: Power) -> Objective:
    """The bytes over the link, both ways."""
    return Objective(
        "bytes",
        lambda estimate, _: crossing_bytes(estimate.best_known),
        lambda estimate: Terms(0.0, crossing_bytes(estimate), 0.0, 0.0),
        show_bytes,
        is_timed=False,
    )


def energy(power: Power) -> Objective:
    """The joules that the device spends."""
    return Objective(
        "energy",
        lambda estimate, rtt_s: energy_j(estimate.best_known, power, rtt_s),
        lambda estimate: _energy_terms(estimate, power),
        show_j,
        notes=(f"power: {power}",),
    )


def _show_rate(seconds: float) -> str:
    if not seconds:
        return "endless frames/s"
    rate = 1 / seconds
    return f"{rate:.0f} frames/s" if rate >= 100 else f"{rate:.3g} frames/s"


def _bits(estimate: Estimate) -> float:
    return crossing_bytes(estimate) * 8


def _sends(estimate: Estimate) -> float:
    return 0.0 if estimate.candidate.codec is None else 1.0


def _period_terms(estimate: Estimate) -> Terms:
    slowest_s = max(estimate.device_s, estimate.decode_s + estimate.suffix_s)
    return Terms(slowest_s, 0.0, _bits(estimate), 0.0)


def _energy_terms(estimate: Estimate, power: Power) -> Terms:
    own_j = estimate.device_s * power.compute_w + estimate.cloud_s * power.wait_w
    return Terms(0.0, own_j, _bits(estimate) * power.send_w, _sends(estimate) * power.wait_w)
