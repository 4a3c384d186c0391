"""How fast device and cloud are against their profiles: medians, ratios and what is forgotten. No clock runs here."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.affine import STAGES

from partway.edge.decision.slowdown import EVERY_S, LEAST, RECENT, Recent, Slowdown
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.proto.frame import Durations

SPEEDS = Speeds((0.05, 0.05, 0.1), (0.005, 0.005, 0.01))
CLOUD, SPLIT, HOME = Candidate(0, "raw", 100_000, 300), Candidate(2, "raw", 10_000, 300), Candidate(STAGES, None)
FAST = Link(50e6, 0.01)
SUFFIX_S = 0.02
"""Of CLOUD, by SPEEDS."""


def pace_of(queue_s: float = 0.0) -> Slowdown:
    """The pace of the three candidates, before anything is measured."""
    speeds = dataclasses.replace(SPEEDS, queue_s=queue_s)
    return Slowdown([estimate(candidate, speeds, FAST) for candidate in (CLOUD, SPLIT, HOME)])


def replies(pace: Slowdown, count: int, durations: Durations, frames: int = 1, begin_s: float = 100.0) -> float:
    """``count`` replies a second apart, each to so many frames; when the last one came."""
    for index in range(count):
        pace.cloud(0, frames, durations, begin_s + index, begin_s + index + 0.5)
    return begin_s + count - 0.5


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=30))
def test_the_median_is_of_the_last_few_values(values: list[float]) -> None:
    """Too few values give no median; older ones than the last RECENT do not count."""
    recent = Recent()
    medians = [recent.median(value) for value in values]
    assert medians[: LEAST - 1] == [None] * min(LEAST - 1, len(values))
    if len(values) >= LEAST:
        window = sorted(values[-RECENT:])
        assert medians[-1] == window[(len(window) - 1) // 2]


def test_a_cleared_median_begins_again() -> None:
    """After ``clear`` the first values are again too few."""
    recent = Recent()
    assert [recent.median(7.0) for _ in range(LEAST)][-1] == 7.0
    recent.clear()
    assert [recent.median(1.0) for _ in range(LEAST)] == [None] * (LEAST - 1) + [1.0]


@given(st.lists(st.floats(1e-3, 1e3), max_size=40))
def test_the_device_factor_stays_between_its_profile_and_what_was_measured(ratios: list[float]) -> None:
    """The factor approaches the measured ratios and passes none of them."""
    pace = pace_of()
    for ratio in ratios:
        pace.prefix(2, 0.1 * ratio)
    device, cloud, queue_s = pace.factors
    assert min([1.0, *ratios]) * (1 - 1e-9) <= device <= max([1.0, *ratios]) * (1 + 1e-9)
    assert (cloud, queue_s) == (1.0, 0.0)


@pytest.mark.parametrize("ratio", [0.25, 4.0])
def test_a_lasting_change_of_the_device_is_followed(ratio: float) -> None:
    """After some prefixes the factor is the measured ratio, and finishing here takes that much longer or shorter."""
    pace = pace_of()
    for _ in range(60):
        pace.prefix(2, 0.1 * ratio)
    assert pace.factors[0] == pytest.approx(ratio, rel=1e-3)
    assert pace.finish_s(0) == pytest.approx(0.2 * ratio, rel=1e-3)
    cloud, split, home = pace.now()
    assert [e.prefix_s for e in (cloud, split, home)] == pytest.approx([0.0, 0.1 * ratio, 0.2 * ratio], rel=1e-3)
    assert split.suffix_s == pytest.approx(0.01)


def test_a_prefix_without_a_profile_says_nothing() -> None:
    """A split at the input has no prefix, and one that was never measured has no profile to compare with."""
    pace = pace_of()
    for _ in range(20):
        pace.prefix(0, 5.0)
        pace.prefix(1, 5.0)
    assert pace.factors == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("frames", [1, 4])
def test_the_cloud_factor_is_of_one_frame(frames: int) -> None:
    """The suffix of a group counts once per frame in it; candidates that send nothing are not affected."""
    pace = pace_of()
    replies(pace, 60, Durations(0.0, 0.0, 3 * SUFFIX_S * frames), frames)
    assert pace.factors[1] == pytest.approx(3.0, rel=1e-3)
    cloud, split, home = pace.now()
    assert cloud.suffix_s == pytest.approx(3 * SUFFIX_S, rel=1e-3)
    assert split.suffix_s == pytest.approx(0.03, rel=1e-3)
    assert home.suffix_s == 0.0


def test_a_reply_without_a_suffix_leaves_the_cloud_factor_alone() -> None:
    """A cloud that reports no seconds for the suffix is not infinitely fast."""
    pace = pace_of()
    replies(pace, 20, Durations(0.0, 0.0, 0.0))
    assert pace.factors == (1.0, 1.0, 0.0)


def test_the_queue_of_a_full_cloud_is_charged_to_candidates_that_send() -> None:
    """Frames that wait in the cloud for others raise the queue; all on the device waits for nobody."""
    pace = pace_of()
    replies(pace, 40, Durations(0.3, 0.0, SUFFIX_S))
    cloud, split, home = pace.now()
    assert cloud.queue_s == split.queue_s == pytest.approx(0.3, rel=0.01)
    assert home.queue_s == 0.0


def test_the_queue_that_a_cloud_reports_is_approached_by_half() -> None:
    """Each report of a probe moves the queue half of the way."""
    pace = pace_of(queue_s=0.1)
    pace.queue(0.5)
    assert pace.factors[2] == pytest.approx(0.3)
    pace.queue(0.5)
    assert pace.factors[2] == pytest.approx(0.4)


def test_another_cloud_begins_with_its_profile_and_the_device_keeps_its_pace() -> None:
    """After a change of cloud nothing measured of the former one counts, not even frames that were too few."""
    pace = pace_of(queue_s=0.1)
    for _ in range(60):
        pace.prefix(2, 0.2)
    replies(pace, 30, Durations(0.4, 0.0, 5 * SUFFIX_S))
    pace.cloud_changed()
    assert pace.factors[1:] == (1.0, 0.1)
    assert pace.factors[0] == pytest.approx(2.0, rel=1e-3)
    replies(pace, LEAST - 1, Durations(0.0, 0.0, 5 * SUFFIX_S))
    assert pace.factors[1] == 1.0


def test_the_load_of_a_cloud_that_gets_no_frames_is_forgotten() -> None:
    """While nothing is sent the factor and the queue return to normal, and the device's factor stays."""
    pace = pace_of()
    for _ in range(60):
        pace.prefix(2, 0.3)
    last_s = replies(pace, 60, Durations(0.4, 0.0, 4 * SUFFIX_S))
    pace.estimates(last_s)
    slowed = pace.factors
    for step in range(1, 200):
        pace.estimates(last_s + 1.0 + step)
    device, cloud, queue_s = pace.factors
    assert slowed[1] > 3
    assert slowed[2] > 0.3
    assert cloud == pytest.approx(1.0, abs=0.01)
    assert queue_s == pytest.approx(0.0, abs=0.01)
    assert device == slowed[0]


def test_the_load_of_a_cloud_in_use_is_kept() -> None:
    """As long as replies come, looking at the estimates forgets nothing."""
    pace = pace_of()
    for index in range(100):
        replies(pace, 1, Durations(0.0, 0.0, 4 * SUFFIX_S), begin_s=100.0 + index)
        pace.estimates(100.6 + index)
    assert pace.factors[1] == pytest.approx(4.0, rel=0.01)


def test_a_change_that_passes_at_once_makes_no_new_estimates() -> None:
    """Two looks in a row must see the same change; what has passed by the second look does not count."""
    pace = pace_of()
    for index in range(20):
        for _ in range(30):
            pace.prefix(2, 0.1 * (3.0 if index % 2 else 1 / 3))
        assert pace.estimates(index * 2 * EVERY_S) is None


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(1, 8)), max_size=30))
def test_no_reply_makes_an_estimate_that_is_no_number(seen: list[tuple[float, float, int]]) -> None:
    """Whatever a cloud reports, estimates are finite and not negative."""
    pace = pace_of()
    for index, (queue_s, suffix_s, frames) in enumerate(seen):
        pace.cloud(0, frames, Durations(queue_s, 0.0, suffix_s), float(index), index + 0.5)
        pace.estimates(index + 0.5)
    assert all(math.isfinite(part) and part >= 0 for e in pace.now() for part in (e.suffix_s, e.queue_s, e.total_s))


def test_estimates_without_any_candidate_are_none_at_all() -> None:
    """A pace of nothing answers like any other."""
    pace = Slowdown([])
    pace.prefix(1, 1.0)
    assert (pace.now(), pace.finish_s(1), pace.factors) == ([], 0.0, (1.0, 1.0, 0.0))


def test_our_own_frames_in_the_queue_are_no_load():
    """Four frames at once: the later ones wait for the earlier ones, and that says nothing of other devices."""
    pace = pace_of()
    for burst in range(20):
        for place in range(4):
            received_s = burst * 1.0 + 0.1 + place * 0.1
            pace.cloud(0, 1, Durations(0.1 * place, 0.0, 0.1), burst * 1.0, received_s)
    assert pace.factors[2] < 0.01


RECORDED = (
    0.99, 0.87, 1.06, 0.95, 5.76, 1.17, 1.04, 1.0, 1.03, 0.87, 1.02, 1.0, 0.95, 0.97, 1.07, 5.08, 1.0, 1.0, 1.14,
    0.94, 0.82, 0.91, 1.1, 0.88, 0.87, 0.96, 4.08, 1.11, 0.79, 26.81, 13.29, 1.51, 1.22, 1.08, 0.51, 1.02, 2.39,
    0.97, 0.88, 0.82, 1.69, 0.88, 0.96, 1.39, 0.79, 1.42, 0.77, 1.34, 0.84, 1.47, 0.93, 0.79, 2.0, 0.86, 1.41,
    1.45, 0.91, 1.51, 0.76, 0.74,
)  # fmt: skip
"""Prefixes of the shipped model as multiples of their median, while another program took both cores now and then."""


def test_a_busy_moment_is_no_slower_device():
    """Recorded prefixes, some of which took thirty times as long: the pace stays, and so does the choice."""
    pace = pace_of()
    for lap in range(5):
        for index, ratio in enumerate(RECORDED):
            pace.prefix(2, 0.1 * ratio)
            assert 0.7 < pace.factors[0] < 1.3
            assert pace.estimates((lap * len(RECORDED) + index) * 0.05) is None
    assert max(RECORDED) > 20, "with every frame followed it would have been twice its profile"


def test_estimates_are_made_anew_only_when_something_moved():
    """A factor that has moved by more than DRIFT at two looks in a row makes new estimates, once."""
    pace = pace_of()
    assert pace.estimates(0.0) is None
    for _ in range(50):
        pace.prefix(2, 0.2)
    assert pace.estimates(2 * EVERY_S) is None, "it has to last"
    made = pace.estimates(3 * EVERY_S)
    assert made is not None
    assert made[1].prefix_s == pytest.approx(0.2, rel=0.05)
    assert pace.estimates(4 * EVERY_S) is None
    assert pace.finish_s(2) == pytest.approx(0.2, rel=0.05)
    assert pace.finish_s(STAGES) == 0.0


def test_trial_frames_count_with_their_parts():
    """A prefix that trial frames found to take longer than its profile does is believed."""
    plain = estimate(SPLIT, SPEEDS, FAST)
    tried = dataclasses.replace(plain, measured_s=1.0, measured=Estimate(SPLIT, prefix_s=0.3, suffix_s=0.01))
    assert Slowdown([tried]).now()[0].prefix_s == 0.3
