"""The choice worked out for every link, against trying every candidate."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError
from partway.partitioner.decide.crossovers import Chooser, crossovers
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import objective, order
from partway.partitioner.decide.power import Power

SPEEDS = Speeds(device_s=(0.010, 0.020, 0.040), cloud_s=(0.001, 0.002, 0.004))


POWER = Power("test", compute_w=6.0, send_w=4.0, wait_w=2.0)


def seconds() -> st.SearchStrategy[float]:
    """Times from a microsecond to a second, with equals among them."""
    return st.sampled_from([0.0, 0.001, 0.01]) | st.floats(1e-6, 1.0)


@st.composite
def made_up(draw: st.DrawFn) -> list[Estimate]:
    """Up to a dozen candidates of a model with four stages, all on the device often among them."""
    speeds = Speeds(*(tuple(draw(seconds()) for _ in range(4)) for _ in range(2)), queue_s=draw(seconds()))
    count = draw(st.integers(1, 12))
    found = [
        Candidate(
            draw(st.integers(0, 3)),
            f"c{i}",
            draw(st.integers(1, 3)) * 10 ** draw(st.integers(1, 5)),
            100,
            draw(seconds()),
            draw(seconds()),
        )
        for i in range(count)
    ]
    if draw(st.booleans()):
        found.append(Candidate(4, None))
    return [estimate(candidate, speeds, Link(1e6, 0.0)) for candidate in found]


def on(link: Link, estimates: list[Estimate]) -> list[Estimate]:
    """The same candidates estimated on another link."""
    return [
        replace(
            e, link_s=link.transfer_s(e.candidate.size_bytes + e.candidate.reply_bytes) if e.candidate.codec else 0.0
        )
        for e in estimates
    ]


links = st.builds(Link, st.floats(3, 11).map(lambda x: 10**x), st.sampled_from([0.0, 0.04]) | st.floats(1e-5, 1.0))


names = st.sampled_from(["latency", "throughput", "bytes", "energy"])


def assert_best(candidate: Candidate, estimates: list[Estimate], name: str, link: Link) -> None:
    """Nothing beats the candidate by more than rounding, neither in score nor, of equals, in seconds."""
    wanted = objective(name, POWER)
    here = on(link, estimates)
    mine = order(next(e for e in here if e.candidate == candidate), wanted, link.rtt_s)
    best = min(order(e, wanted, link.rtt_s) for e in here)
    assert mine[0] == pytest.approx(best[0], rel=1e-9, abs=1e-15)
    equals = [order(e, wanted, link.rtt_s) for e in here if order(e, wanted, link.rtt_s)[0] == mine[0]]
    assert mine[1] == pytest.approx(min(equal[1] for equal in equals), rel=1e-9, abs=1e-15)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(made_up(), names, links)
def test_the_chooser_is_as_good_as_trying_every_candidate(estimates: list[Estimate], name: str, link: Link) -> None:
    """On any link, for every objective."""
    assert_best(Chooser(estimates, objective(name, POWER))(link), estimates, name, link)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(made_up(), names, st.sampled_from([0.0, 1e-3, 0.04]))
def test_crossovers_say_what_dense_sampling_finds(estimates: list[Estimate], name: str, rtt_s: float) -> None:
    """Ranges follow one another from nothing to endless, each winner differs from the last, and no sample disagrees."""
    wins = crossovers(estimates, objective(name, POWER), rtt_s)
    assert wins[0].from_bps == 0
    assert math.isinf(wins[-1].to_bps)
    for before, after in pairwise(wins):
        assert before.from_bps < before.to_bps == after.from_bps
        assert before.candidate != after.candidate
    for step in range(81):
        bandwidth_bps = 10 ** (3 + step / 10)
        win = next(win for win in wins if win.from_bps <= bandwidth_bps < win.to_bps)
        assert_best(win.candidate, estimates, name, Link(bandwidth_bps, rtt_s))


@settings(max_examples=100, deadline=None)
@given(made_up(), names)
def test_at_a_crossover_both_sides_are_equally_good(estimates: list[Estimate], name: str) -> None:
    """The borders are the very bandwidths at which two scores (or, of equal scores, two latencies) meet."""
    wins = crossovers(estimates, objective(name, POWER), 0.04)
    for before, after in pairwise(wins):
        for win in (before, after):
            wanted = objective(name, POWER)
            here = {e.candidate: wanted.score(e, 0.04) for e in on(Link(before.to_bps, 0.04), estimates)}
            assert here[win.candidate] == pytest.approx(min(here.values()), rel=1e-6, abs=1e-12)


def test_crossovers_of_two_lines_are_where_they_meet() -> None:
    """8000 more bits against 10 ms more on the device: equal at 800 kbps."""
    heavy = Estimate(Candidate(0, "raw", 1500), suffix_s=0.02)
    light = Estimate(Candidate(1, "raw", 500), prefix_s=0.01, suffix_s=0.02)
    slow, fast = crossovers([heavy, light], objective(), 0.04)
    assert (slow.candidate, fast.candidate) == (light.candidate, heavy.candidate)
    assert slow.to_bps == fast.from_bps == pytest.approx(8e5)
    assert crossovers([], objective(), 0.04) == []


def test_candidates_held_back_alike_change_places_where_their_latencies_meet() -> None:
    """Both answer as often as the cloud can, one second a frame: above 800 kbps the one with less work is sooner."""
    heavy = Estimate(Candidate(0, "raw", 1500), suffix_s=1.0)
    light = Estimate(Candidate(1, "raw", 500), prefix_s=0.01, suffix_s=1.0)
    wins = crossovers([heavy, light], objective("throughput"), 0.04)
    assert [win.candidate for win in wins] == [light.candidate, heavy.candidate]
    assert wins[0].to_bps == pytest.approx(8e5)


def test_without_a_link_the_device_answers_alone() -> None:
    """And when even that is excluded, a sentence says so."""
    candidates = [Candidate(0, "raw", 100), Candidate(3, None)]
    estimates = [estimate(candidate, SPEEDS, Link(1e6, 0.05)) for candidate in candidates]
    chooser = Chooser(estimates, objective())
    assert chooser(None) == chooser(Link(0.0, 0.1)) == Candidate(3, None)
    assert chooser(Link(1e9, 0.0)) == candidates[0]
    small = Chooser(estimates[:1], objective("bytes"))
    assert small(Link(1e3, 1.0)) == candidates[0]
    with pytest.raises(InputError, match="without a link"):
        small(None)
