"""The link estimator against links that are known exactly: no clock, no sockets."""

import random
import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.edge.decision.bandwidth import LinkEstimator
from partway.edge.emulator.shaper import Pace, RatePace, Shape, read_trace
from partway.partitioner.decide.estimate import Link

CLOUD_S = 0.005
REPLY = 300
JITTER_S = 0.002


class Rig:
    """A link and an estimator that sees its frames. ``send`` returns what the frame took; the clock is ``now_s``."""

    def __init__(self, pace: Pace | None, rtt_s: float, known: Link | None = None, jitter_s: float = 0.0) -> None:
        self.up = Shape(pace, rtt_s / 2, jitter_s, random=random.Random(1))
        self.down = Shape(None, rtt_s / 2, jitter_s, random=random.Random(2))
        self.estimator = LinkEstimator(known)
        self.now_s = 0.0
        self.late_s = 0.0

    def send(self, size: int, cloud_s: float = CLOUD_S) -> float:
        there_s = self.up.arrive(self.now_s, size) + self.late_s
        received_s = self.down.arrive(there_s + cloud_s, REPLY)
        self.estimator.frame(size, REPLY, self.now_s, received_s, cloud_s)
        return received_s - self.now_s

    def frames(self, count: int, size: int, every_s: float) -> list[float]:
        took = []
        for _ in range(count):
            took.append(self.send(size))
            self.now_s += every_s
        return took

    @property
    def link(self) -> Link:
        link = self.estimator.link
        assert link is not None
        return link


def test_nothing_is_known_before_the_first_frame():
    estimator = LinkEstimator()
    assert estimator.link is None
    assert estimator.at(0.0) is None


@pytest.mark.parametrize("rate_bps", [0.3e6, 3e6, 30e6])
@pytest.mark.parametrize("rtt_s", [0.004, 0.1])
def test_bandwidth_and_round_trip_are_told_apart_by_frames_of_several_sizes(rate_bps: float, rtt_s: float):
    rig = Rig(RatePace(rate_bps), rtt_s, jitter_s=rtt_s / 50)
    sizes = [int(rate_bps / 8 * seconds) for seconds in (0.01, 0.05, 0.2)]
    for index in range(60):
        rig.send(sizes[index % 3])
        rig.now_s += 0.5
    assert rig.link.bandwidth_bps == pytest.approx(rate_bps, rel=0.15)
    answer_s = REPLY * 8 / rate_bps  # takes no time here on its way back: the estimator knows one bandwidth
    assert rig.link.rtt_s == pytest.approx(rtt_s, abs=0.3 * rtt_s + 2e-3 + answer_s)


@pytest.mark.parametrize("every_s", [0.001, 0.005, 0.02])
def test_queueing_behind_our_own_frames_is_no_slow_link(every_s: float):
    """20 KB take 20 ms on this link; sent every 1, 5 or 20 ms they wait ever longer, and the link is still 8 Mbps."""
    rig = Rig(RatePace(8e6), 0.04, Link(8e6, 0.04), JITTER_S)
    took = rig.frames(60, 20_000, every_s)
    assert rig.link.bandwidth_bps == pytest.approx(8e6, rel=0.25)
    assert rig.link.rtt_s == pytest.approx(0.04, rel=0.25)
    if every_s < 0.01:
        assert took[-1] > 5 * took[0]


@pytest.mark.parametrize(("before_bps", "after_bps"), [(8e6, 0.8e6), (0.8e6, 8e6)])
@pytest.mark.parametrize("every_s", [0.02, 0.3])
def test_a_change_by_ten_is_followed_within_three_frames(before_bps: float, after_bps: float, every_s: float):
    pace = RatePace(before_bps)
    rig = Rig(pace, 0.04, Link(before_bps, 0.04), JITTER_S)
    rig.frames(20, 20_000, max(every_s, 0.3))
    rig.now_s += 5.0  # what queued is through
    pace.rate_bps = after_bps
    rig.frames(3, 20_000, every_s)
    seconds = rig.link.transfer_s(20_000 + REPLY)
    assert seconds == pytest.approx(20_000 * 8 / after_bps + 0.04, rel=0.35)


def test_one_outlier_is_not_believed():
    """A frame that took two seconds longer, and nothing else: the next choice is still made for the link as it is."""
    rig = Rig(RatePace(8e6), 0.04, Link(8e6, 0.04), JITTER_S)
    rig.frames(20, 20_000, 0.2)
    rig.late_s = 2.0
    rig.send(20_000)
    rig.late_s = 0.0
    rig.now_s += 3.0
    assert rig.link.bandwidth_bps > 4e6
    rig.frames(4, 20_000, 0.2)
    assert rig.link.bandwidth_bps == pytest.approx(8e6, rel=0.3)


def test_what_piled_up_behind_a_stall_is_no_fast_link():
    """A stall of half a second, then everything at once: no bandwidth of gigabits follows from that."""
    estimator, up = LinkEstimator(Link(8e6, 0.04)), Shape(RatePace(8e6), 0.02)
    for index in range(60):
        sent_s = index * 0.025
        there_s = up.arrive(sent_s, 20_000)
        if 0.5 < there_s < 1.0:
            there_s = 1.0 + index * 1e-5
        estimator.frame(20_000, REPLY, sent_s, there_s + 0.025, CLOUD_S)
        link = estimator.link
        assert link is not None
        assert 4e6 < link.bandwidth_bps < 16e6


def test_the_clouds_own_time_is_not_the_links():
    """A cloud that is slow, and one that is quick, see the same link."""
    links = []
    for cloud_s in (0.0, 0.7):
        rig = Rig(RatePace(4e6), 0.02, Link(2e6, 0.02))
        for _ in range(20):
            rig.send(20_000, cloud_s)
            rig.now_s += 1.0
        links.append(rig.link)
    assert links[0].bandwidth_bps == pytest.approx(links[1].bandwidth_bps, rel=0.02)


def test_an_overdue_frame_says_what_the_link_is_at_best():
    estimator = LinkEstimator(Link(8e6, 0.04))
    estimator.overdue(20_000, 0.01, 1.0)
    assert estimator.link == Link(8e6, pytest.approx(0.04))  # not overdue at all
    estimator.overdue(20_000, 1.5, 2.0)
    assert estimator.link is not None
    assert estimator.link.transfer_s(20_000) > 0.5


def test_confidence_comes_with_frames_and_fades_without():
    rig = Rig(RatePace(8e6), 0.04, Link(20e6, 0.04), JITTER_S)
    at = rig.estimator.at(0.0)
    assert at is not None
    first = at.confidence
    for index in range(40):
        rig.frames(1, (2_000, 40_000)[index % 2], 0.2)
    now, later = rig.estimator.at(rig.now_s), rig.estimator.at(rig.now_s + 60.0)
    assert now is not None
    assert later is not None
    assert 0 < later.confidence < first < now.confidence < 1


def test_probes_alone_are_enough():
    estimator = LinkEstimator()
    for index in range(12):
        size = (200, 20_000)[index % 2]
        estimator.probe(size, 0.03 + size * 8 / 2e6, float(index))
    assert estimator.link is not None
    assert estimator.link.bandwidth_bps == pytest.approx(2e6, rel=0.2)
    assert estimator.link.rtt_s == pytest.approx(0.03, rel=0.3)


@st.composite
def _traffic(draw: st.DrawFn) -> list[tuple[int, int, float, float, float]]:
    sent_s, made = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        sent_s += draw(st.floats(0, 2))
        took_s, cloud_s = draw(st.floats(0, 5)), draw(st.floats(0, 1))
        made.append((draw(st.integers(0, 10**8)), draw(st.integers(0, 10**6)), sent_s, sent_s + took_s, cloud_s))
    return made


@given(_traffic())
def test_whatever_is_seen_the_estimate_is_a_link(traffic: list[tuple[int, int, float, float, float]]):
    """Any sizes, any times, the cloud's clock wrong as it may be: positive, finite, and never an exception."""
    estimator = LinkEstimator()
    for up, down, sent_s, received_s, cloud_s in traffic:
        estimator.frame(up, down, sent_s, received_s, cloud_s)
        at = estimator.at(received_s)
        assert at is not None
        assert 1e3 <= at.link.bandwidth_bps <= 1e11 * 1.0001
        assert 1e-5 <= at.link.rtt_s < 100
        assert 0 < at.confidence <= 1


def _replay(trace: Path, size: int) -> Iterator[tuple[float, float]]:
    """(predicted, real) seconds of each frame, one at a time over a minute of the trace."""
    rig = Rig(read_trace(trace), 0.04, Link(5e6, 0.04))
    while rig.now_s < 60:
        predicted_s = rig.link.transfer_s(size + REPLY)
        took_s = rig.send(size, 0.0)
        yield predicted_s, took_s
        rig.now_s += max(took_s, 0.1)


@pytest.mark.parametrize("name", ["Verizon-LTE-short.up", "TMobile-UMTS-driving.up"])
@pytest.mark.parametrize("size", [2_000, 20_000])
def test_on_recorded_cellular_links_it_foresees_as_well_as_the_frame_before_and_without_bias(
    data: Path, name: str, size: int
):
    """Whoever says "as the frame before" knows the link's last moment; the estimate is no worse, nor one-sided.

    An outage of ten seconds is foreseen by nobody: the middle of the errors tells, not their mean.
    """
    pairs = list(_replay(data / "traces" / name, size))
    off = [predicted - real for predicted, real in pairs]
    naive = [abs(a - b) for (_, a), (_, b) in pairwise(pairs)]
    assert statistics.mean(map(abs, off)) <= 1.1 * statistics.mean(naive)
    assert abs(statistics.median(off)) <= 0.15 * statistics.median(real for _, real in pairs)
