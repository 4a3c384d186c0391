"""Times of candidates, and which is taken."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.partitioner.decide.estimate import (
    Candidate,
    Estimate,
    Link,
    Speeds,
    estimate,
    trials,
    with_measured,
)

SPEEDS = Speeds(device_s=(0.010, 0.020, 0.040), cloud_s=(0.001, 0.002, 0.004), queue_s=0.0005)
LINK = Link(bandwidth_bps=1e6, rtt_s=0.050)


@pytest.mark.parametrize(
    ("k", "prefix_s", "suffix_s"), [(0, 0.0, 0.007), (1, 0.010, 0.006), (2, 0.030, 0.004), (3, 0.070, 0.0)]
)
def test_the_device_runs_what_is_before_the_cut_and_the_cloud_the_rest(
    k: int, prefix_s: float, suffix_s: float
) -> None:
    """Every part of the estimate is the sum it says it is."""
    made = estimate(Candidate(k, "raw", 1000, 250, 0.0003, 0.0007), SPEEDS, LINK)
    assert made.prefix_s == pytest.approx(prefix_s)
    assert made.suffix_s == pytest.approx(suffix_s)
    assert made.encode_s == 0.0003
    assert made.link_s == pytest.approx(0.010 + 0.050)
    assert made.cloud_s == pytest.approx(0.0005 + 0.0007 + suffix_s)
    assert made.total_s == pytest.approx(prefix_s + 0.0003 + 0.060 + 0.0005 + 0.0007 + suffix_s)


def test_all_on_the_device_needs_no_link() -> None:
    """The device alone takes the sum of its stages and nothing else, with a link or without."""
    alone = Candidate(3, None)
    assert estimate(alone, SPEEDS, None) == estimate(alone, SPEEDS, LINK) == Estimate(alone, 0.070)


def test_what_is_sent_needs_a_link() -> None:
    """A candidate that sends something cannot be estimated without a link."""
    with pytest.raises(ValueError, match="needs a link"):
        estimate(Candidate(1, "raw", 10), SPEEDS, None)


def test_a_link_shows_itself_in_units_for_people() -> None:
    """Bandwidth and round trip read as people write them."""
    assert str(Link(2e6, 0.04)) == "2.00 Mbps, 40.0 ms round trip"


@pytest.mark.parametrize(
    ("lossless", "agreement", "max_drop", "admitted"),
    [
        (True, None, 0.0, True),
        (False, None, 1.0, False),
        (False, None, 99.9, False),
        (False, None, 100.0, True),
        (False, 1.0, 0.0, True),
        (False, 0.995, 1.0, True),
        (False, 0.985, 1.0, False),
        (False, 0.985, 2.0, True),
    ],
)
def test_a_codec_is_admitted_within_its_budget(
    lossless: bool, agreement: float | None, max_drop: float, admitted: bool
) -> None:
    """Lossless codecs always may, others within the drop asked for, unmeasured ones only where any drop is fine."""
    assert Candidate(1, "q8", lossless=lossless, agreement=agreement).admitted(max_drop) is admitted


def _timed(*totals_s: float, splits: Sequence[int] | None = None) -> list[Estimate]:
    ks = splits or [1] * len(totals_s)
    return [Estimate(Candidate(k, "raw", i), prefix_s=s) for i, (k, s) in enumerate(zip(ks, totals_s, strict=True))]


def test_what_was_measured_counts_more_than_what_was_estimated() -> None:
    """A candidate that turned out slower than it was estimated loses."""
    slow, other = _timed(0.1, 0.2)
    (slow,) = with_measured([slow], {slow.candidate: Estimate(slow.candidate, 0.3, measured_s=0.3)})
    assert slow.best_known_s == 0.3
    assert min((slow, other), key=lambda e: e.best_known_s) is other


@pytest.mark.parametrize(
    ("splits", "totals_s", "expected"),
    [
        ((0, 1, 2, 3), (0.1, 0.4, 0.3, 0.2), (0, 3, 2)),
        ((0, 1, 2, 3), (0.3, 0.1, 0.2, 0.4), (1, 2)),
        ((0, 3), (0.2, 0.1), (3, 0)),
        ((3,), (0.1,), (3,)),
    ],
)
def test_trials_go_to_the_best_two_and_the_best_real_split(
    splits: Sequence[int], totals_s: Sequence[float], expected: Sequence[int]
) -> None:
    """A real split is tried even where it is not among the best, and nothing is tried twice."""
    chosen = trials(_timed(*totals_s, splits=splits), stages=3)
    assert tuple(e.candidate.k for e in chosen) == tuple(expected)


def test_only_what_was_tried_is_marked_measured() -> None:
    """Measured times go to their candidates and to no other."""
    estimates = _timed(0.1, 0.2)
    took = Estimate(estimates[1].candidate, link_s=0.5, measured_s=0.5)
    marked = with_measured(estimates, {took.candidate: took})
    assert [e.measured_s for e in marked] == [None, 0.5]
    assert [e.best_known for e in marked] == [marked[0], took]


@given(
    st.lists(st.floats(1e-6, 1.0), min_size=3, max_size=3),
    st.floats(1e3, 1e10),
    st.floats(0, 1),
    st.integers(1, 1_000_000),
)
def test_a_faster_link_never_makes_a_candidate_slower(
    device_s: list[float], bandwidth_bps: float, rtt_s: float, size_bytes: int
) -> None:
    """Doubling the bandwidth shortens what crosses and leaves the rest alone."""
    speeds = Speeds(tuple(device_s), (0.0, 0.0, 0.0))
    slow = estimate(Candidate(1, "raw", size_bytes), speeds, Link(bandwidth_bps, rtt_s))
    fast = estimate(Candidate(1, "raw", size_bytes), speeds, Link(2 * bandwidth_bps, rtt_s))
    assert fast.total_s <= slow.total_s
    assert (fast.link_s - rtt_s) * 2 == pytest.approx(slow.link_s - rtt_s, rel=1e-6, abs=1e-12)


def test_making_tensors_counts_for_the_candidates_that_need_them() -> None:
    """Sending the picture spares the device that, and is the better choice where the rest is alike."""
    speeds, link = Speeds((0.1, 0.1), (0.1, 0.1)), Link(1e6, 0.0)
    picture, tensor = Candidate(0, "png", 1000), Candidate(0, "raw", 1000, read_s=0.05)
    home = Candidate(2, None, read_s=0.05)
    made = [estimate(each, speeds, link) for each in (picture, tensor, home)]
    assert made[1].total_s == pytest.approx(made[0].total_s + 0.05)
    assert made[2].total_s == pytest.approx(0.25)
    assert min(made, key=lambda e: e.total_s).candidate == picture
    assert made[1].device_s == 0.05
