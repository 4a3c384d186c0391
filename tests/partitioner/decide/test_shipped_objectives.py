"""The shipped objectives: what each scores, how the score depends on the link, and how it is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import objective
from partway.partitioner.decide.power import Power
from partway.partitioner.decide.shipped_objectives import TIMING_NOISE_S, energy, latency, throughput

SPEEDS = Speeds(device_s=(0.010, 0.020, 0.040), cloud_s=(0.001, 0.002, 0.004))
LINK = Link(1e6, 0.05)
POWER = Power("test", compute_w=6.0, send_w=4.0, wait_w=2.0)
NAMES = ("latency", "throughput", "bytes", "energy")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("latency", 0.010 + 0.003 + 0.008 + 0.05 + 0.002 + 0.006),
        ("throughput", 0.010 + 0.003),
        ("bytes", 1000.0),
        ("energy", 0.013 * 6 + 0.008 * 4 + (0.05 + 0.008) * 2),
    ],
)
def test_each_objective_scores_what_it_says(name: str, expected: float) -> None:
    """Seconds, seconds of the slowest step, bytes both ways, joules."""
    made = estimate(Candidate(1, "raw", 900, 100, 0.003, 0.002), SPEEDS, LINK)
    assert objective(name, POWER).score(made, LINK.rtt_s) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("bandwidth_bps", "k", "slowest_s"), [(1e5, 1, 0.08), (1e9, 1, 0.010), (1e9, 0, 0.007), (1e9, 2, 0.030)]
)
def test_throughput_is_held_back_by_the_slowest_of_device_link_and_cloud(
    bandwidth_bps: float, k: int, slowest_s: float
) -> None:
    """The round trip delays every frame and holds none back."""
    link = Link(bandwidth_bps, 3.0)
    made = estimate(Candidate(k, "raw", 1000), SPEEDS, link)
    assert objective("throughput").score(made, link.rtt_s) == pytest.approx(slowest_s)


@pytest.mark.parametrize(
    ("name", "score", "shown"),
    [
        ("latency", 0.0123, "12.3 ms"),
        ("throughput", 0.02, "50 frames/s"),
        ("throughput", 0.0, "endless frames/s"),
        ("bytes", 1500.0, "1.50 KB"),
        ("energy", 0.0893, "89.3 mJ"),
        ("energy", 2.0, "2 J"),
    ],
)
def test_scores_are_shown_in_their_unit(name: str, score: float, shown: str) -> None:
    """People see frames a second, not seconds a frame, where throughput is meant."""
    assert objective(name).show(score) == shown


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("link", [Link(1e4, 0.0), Link(1e6, 0.05), Link(1e9, 1e-3)])
@pytest.mark.parametrize("candidate", [Candidate(1, "raw", 900, 100, 0.003, 0.002), Candidate(3, None)])
def test_terms_of_the_link_add_up_to_the_score(name: str, link: Link, candidate: Candidate) -> None:
    """Crossovers are computed from terms and frames are ranked by scores: they agree on every link."""
    goal, made = objective(name, POWER), estimate(candidate, SPEEDS, link)
    assert goal.terms(made).at(link.bandwidth_bps, link.rtt_s) == pytest.approx(goal.score(made, link.rtt_s))


def test_a_measured_frame_counts_for_latency_only() -> None:
    """Joules and the time between answers come from the parts; latency takes what trial frames took."""
    guessed = estimate(Candidate(1, "raw", 900), SPEEDS, LINK)
    measured = replace(guessed, measured_s=9.0)
    assert latency(POWER).score(measured, LINK.rtt_s) == 9.0
    for other in (throughput(POWER), energy(POWER)):
        assert other.score(measured, LINK.rtt_s) < 9.0


def test_energy_depends_on_the_device() -> None:
    """A device that waits for free prefers the cloud; its power is told with the decision."""
    here, there = Estimate(Candidate(3, None), prefix_s=0.1), Estimate(Candidate(0, "raw", 10), suffix_s=0.3)
    idle, hungry = Power("idle", 6.0, 4.0, 0.1), Power("hungry", 6.0, 4.0, 5.0)
    assert energy(idle).score(there, 0.0) < energy(idle).score(here, 0.0)
    assert energy(hungry).score(there, 0.0) > energy(hungry).score(here, 0.0)
    assert energy(idle).notes == (f"power: {idle}",)


@pytest.mark.parametrize(
    ("name", "unit", "noise_floor"),
    [
        ("latency", "a frame", TIMING_NOISE_S),
        ("throughput", "", TIMING_NOISE_S),
        ("bytes", "a frame", 0.0),
        ("energy", "a frame", 0.0),
    ],
)
def test_each_objective_has_a_unit_and_a_noise_floor_of_its_own(name: str, unit: str, noise_floor: float) -> None:
    """Timing is noisy, bytes are counted; nobody has to know objectives by their names."""
    made = objective(name, POWER)
    assert (made.unit, made.noise_floor) == (unit, noise_floor)
    assert made.is_latency is (name == "latency")
    assert made.is_timed is (name != "bytes")
    assert bool(made.notes) is (name == "energy")
