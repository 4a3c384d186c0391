"""The choice before each frame, by tables: a clock and a link that are told what to be."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from time import perf_counter

import pytest
from tests.support.affine import STAGES, affine_chain

from partway.edge.decision.split_controller import DWELL_S, IDLE_S, SplitController
from partway.edge.pipeline.in_flight import GRACE_S, FrameGroup, give_up_s
from partway.edge.transport.cloud_monitor import Probed
from partway.errors import LinkLost
from partway.partitioner.decide.estimate import Candidate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import objective
from partway.proto.frame import Durations

INF = float("inf")
PLAN = affine_chain().plan
SPEEDS = Speeds((0.05, 0.05, 0.1), (0.005, 0.005, 0.01))
CLOUD, SPLIT, HOME = Candidate(0, "raw", 100_000, 300), Candidate(2, "raw", 10_000, 300), Candidate(STAGES, None)
QUICK = Durations(0.0, 0.0, 0.01)
FAST, SLOW = Link(50e6, 0.01), Link(1e6, 0.01)


class Rig:
    """A SplitController whose clock stands still until it is told, and frames that take what the link says."""

    def __init__(self, chosen: Candidate = CLOUD, link: Link = FAST, free: bool = True, name: str = "latency") -> None:
        self.now_s = 100.0
        found = [estimate(candidate, SPEEDS, link) for candidate in (CLOUD, SPLIT, HOME)]
        self.probes: Callable[[], Iterable[Probed]] = tuple
        self.withdrawals: Callable[[], Iterable[tuple[Candidate, str]]] = tuple
        self.controller = SplitController(
            *(found, chosen, objective(name), PLAN, link, free, lambda: self.now_s),
            probes=lambda: self.probes(),
            withdrawals=lambda: self.withdrawals(),
        )
        self.id = 0

    def frame(self, link: Link, durations: Durations = QUICK, every_s: float = 0.3) -> Candidate:
        """One frame on this link; what was chosen for it."""
        self.controller.frame_id, self.id = self.id, self.id + 1
        candidate = self.controller()
        if candidate.codec is not None:
            sent_s = self.now_s
            group = FrameGroup(self.id, [None], candidate, {}, sent_s, sent_s=sent_s, bytes_sent=candidate.size_bytes)  # type: ignore[list-item]
            took_s = link.transfer_s(candidate.size_bytes + 300) + sum(durations)
            self.controller.answered(group, durations, sent_s + took_s, 300)
        self.now_s += every_s
        return candidate


def test_a_steady_link_changes_nothing():
    rig = Rig()
    assert {rig.frame(FAST) for _ in range(30)} == {CLOUD}
    assert rig.controller.changes == []


def test_another_link_another_cut_and_why():
    """The link falls to a fiftieth: within a few frames the smaller activation is sent, and the reason names it."""
    rig = Rig()
    for _ in range(10):
        rig.frame(FAST)
    chosen = [rig.frame(SLOW) for _ in range(10)]
    assert chosen[-1] == SPLIT
    (change,) = rig.controller.changes
    assert (change.before, change.after) == (CLOUD, SPLIT)
    assert chosen.index(SPLIT) <= 4
    assert change.frame == 10 + chosen.index(SPLIT)
    assert "the link is now" in change.reason
    assert "against" in change.reason


def test_it_comes_back_when_the_link_does():
    rig = Rig()
    for link in [FAST] * 10 + [SLOW] * 15 + [FAST] * 25:
        last = rig.frame(link)
    assert last == CLOUD
    assert len(rig.controller.changes) == 2


def test_no_more_than_one_change_a_second():
    """A link that jumps with every second frame is not followed more often than the dwell allows."""
    rig = Rig()
    for index in range(400):
        rig.frame((FAST, SLOW)[index // 2 % 2], every_s=0.05)
    frames = [change.frame for change in rig.controller.changes]
    assert all(b - a >= DWELL_S / 0.05 for a, b in pairwise(frames))


def test_two_that_are_as_good_as_each_other_do_not_take_turns():
    """Around the link where two candidates meet, and it moves by a few percent, nothing changes."""
    meeting_bps = (CLOUD.size_bytes - SPLIT.size_bytes) * 8 / (0.1 - 0.01)
    rig = Rig(SPLIT, Link(meeting_bps, 0.01))
    for index in range(200):
        rig.frame(Link(meeting_bps * (0.97, 1.03)[index // 5 % 2], 0.01))
    assert rig.controller.changes == []


def test_a_device_that_slows_down_sends_more():
    """Another program takes the processor: prefixes take five times as long, and the cloud gets the whole frame."""
    rig = Rig(SPLIT, Link(8e6, 0.01))
    rig.controller.prefix(2, 0.1)
    assert rig.frame(Link(8e6, 0.01)) == SPLIT
    for _ in range(30):
        rig.controller.prefix(2, 0.5)
        last = rig.frame(Link(8e6, 0.01))
    assert last == CLOUD
    assert "this device takes" in rig.controller.changes[0].reason


def test_a_cloud_with_a_queue_is_left():
    rig = Rig()
    for _ in range(20):
        last = rig.frame(FAST, Durations(0.5, 0.0, 0.01))
    assert last == HOME
    assert "wait" in rig.controller.changes[0].reason


def test_what_the_cloud_says_of_its_queue_counts_while_nothing_is_sent():
    rig = Rig(HOME, SLOW)
    rig.probes = lambda: [Probed(100_000, 0.03, 2.0, rig.now_s)]
    for _ in range(10):
        assert rig.frame(FAST) == HOME
    rig.probes = lambda: [Probed(100_000, 0.03, 0.0, rig.now_s)]
    for _ in range(20):
        last = rig.frame(FAST)
    assert last == CLOUD


def test_without_a_cloud_home_at_once_and_back_when_it_pays():
    rig = Rig()
    rig.frame(FAST)
    rig.controller.lost(LinkLost("the cloud is lost"))
    assert rig.frame(FAST) == HOME
    assert rig.controller.changes[-1].reason == "the cloud is lost"
    rig.controller.relinked(FAST)
    rig.controller.opened()
    chosen = [rig.frame(FAST) for _ in range(8)]
    assert chosen[-1] == CLOUD
    assert chosen.count(HOME) <= DWELL_S / 0.3 + 1
    assert "a cloud is available again" in rig.controller.changes[-1].reason


def test_a_cloud_lost_while_starting_is_used_once_it_is_back():
    """The start was on the device alone, with what was measured of the link before the loss."""
    rig = Rig(HOME)
    found = tuple(estimate(candidate, SPEEDS, FAST) for candidate in (CLOUD, SPLIT, HOME))
    rig.controller = SplitController(found, HOME, objective(), PLAN, None, True, lambda: rig.now_s)
    assert {rig.frame(FAST) for _ in range(5)} == {HOME}
    rig.now_s += 1.0
    rig.controller.relinked(FAST)
    rig.controller.opened()
    assert CLOUD in {rig.frame(FAST) for _ in range(8)}


def test_a_return_that_does_not_pay_is_none():
    rig = Rig()
    rig.controller.lost(LinkLost("gone"))
    rig.frame(FAST)
    rig.controller.relinked(Link(1e5, 0.5))
    rig.controller.opened()
    assert {rig.frame(SLOW) for _ in range(20)} == {HOME}


def test_the_split_that_was_asked_for_is_kept():
    """Whatever the link is like; only a lost cloud is a reason, and only as long as it is lost."""
    rig = Rig(SPLIT, free=False)
    assert {rig.frame(link) for link in [FAST] * 10 + [Link(1e4, 0.1)] * 10} == {SPLIT}
    rig.controller.lost(LinkLost("gone"))
    assert rig.frame(FAST) == HOME
    rig.controller.opened()
    assert rig.frame(FAST) == SPLIT
    assert len(rig.controller.changes) == 2


def test_what_is_withdrawn_is_left_at_once_and_for_good():
    """Before the dwell is over, and it does not come back however well it would pay."""
    rig = Rig()
    rig.frame(FAST)
    rig.withdrawals = iter([(CLOUD, "3 of 9 agree")]).__iter__
    assert rig.frame(FAST) != CLOUD
    assert rig.controller.changes[0].before == CLOUD
    assert rig.controller.changes[0].reason == "3 of 9 agree"
    assert CLOUD not in {rig.frame(FAST) for _ in range(30)}


def test_a_split_that_was_asked_for_is_kept_in_another_codec():
    """Or, where none is left there, everything is done here."""
    rig = Rig(free=False)
    rig.frame(FAST)
    rig.withdrawals = iter([(CLOUD, "3 of 9 agree")]).__iter__
    assert {rig.frame(FAST) for _ in range(10)} == {HOME}


def test_the_objective_is_kept():
    """By bytes, a better link is no reason to send more."""
    rig = Rig(HOME, SLOW, name="bytes")
    rig.probes = lambda: [Probed(100_000, 0.02, 0.0, rig.now_s)]
    assert {rig.frame(FAST) for _ in range(20)} == {HOME}


@pytest.mark.parametrize(
    ("link", "candidate", "window"),
    [(Link(8e6, 0.2), SPLIT, 4), (Link(8e6, 0.0), CLOUD, 3), (Link(80e6, 0.5), SPLIT, 7), (FAST, HOME, 1)],
)
def test_the_window_keeps_the_slowest_part_busy(link: Link, candidate: Candidate, window: int):
    """As many frames as fit between sending and result at the pace of the slowest part, and one more."""
    rig = Rig(candidate, link)
    rig.controller()
    assert rig.controller.window(candidate, behind=True) == window


def test_by_latency_frames_go_one_at_a_time_unless_they_wait():
    """Another one in flight would make each later; by throughput, or where frames wait, it pays."""
    link = Link(8e6, 0.2)
    assert Rig(SPLIT, link).frame(link) == SPLIT
    for name, behind, most in (("latency", False, 1), ("latency", True, 4), ("throughput", False, 4)):
        rig = Rig(SPLIT, link, name=name)
        rig.controller()
        assert rig.controller.window(SPLIT, behind=behind) == most


def _answer_times(window: int, frames: int, link: Link, own_s: float) -> list[float]:
    """Seconds from sending to answer of frames on a simulated link, so many in flight, one behind the other."""
    answered: list[float] = []
    took: list[float] = []
    free_s = 0.0
    for index in range(frames):
        sent_s = answered[index - window] if index >= window else 0.0
        free_s = max(free_s, sent_s) + link.transfer_s(SPLIT.size_bytes + 300) - link.rtt_s
        answered.append(free_s + link.rtt_s + own_s)
        took.append(answered[-1] - sent_s)
    return took


def test_what_a_frame_takes_by_latency_is_what_its_candidate_takes():
    """On a thin link that is simulated: the window by latency keeps p50 at its total, by throughput it does not."""
    link = Link(1e6, 0.01)
    total_s = {}
    for name in ("latency", "throughput"):
        rig = Rig(SPLIT, link, name=name)
        rig.controller()
        own_s = SPEEDS.cloud_s[2]
        total_s[name] = sorted(_answer_times(rig.controller.window(SPLIT), 50, link, own_s))[25]
    alone_s = link.transfer_s(SPLIT.size_bytes + 300) + SPEEDS.cloud_s[2]
    assert total_s["latency"] == pytest.approx(alone_s, rel=0.01)
    assert total_s["throughput"] > 2 * alone_s


@pytest.mark.parametrize(
    ("deadline", "expected", "finish", "gives_up"),
    [
        (INF, 0.02, 0.05, GRACE_S - 0.03 - 0.055),  # so that GRACE_S is kept
        (INF, 0.4, 0.05, 0.83),  # a slow link: twice what is expected
        (INF, 0.02, None, INF),  # the device cannot
        (0.08, 0.02, 0.01, 0.08 - 0.011 - 0.008),  # as late as the deadline can still be met
        (0.08, 0.06, 0.05, 0.08),  # finishing here would have to begin before the answer is due: wait for it
        (0.08, 0.2, 0.01, 0.08 - 0.011 - 0.008),  # the cloud cannot make it: the device still does
        (0.08, 0.2, 0.09, 0.08),  # neither can
        (0.08, 0.02, None, 0.08),
    ],
)
def test_when_a_frame_is_given_up(deadline: float, expected: float, finish: float | None, gives_up: float):
    assert give_up_s(0.0, deadline, expected, finish) == pytest.approx(gives_up)


def test_a_frame_on_its_way_is_not_probed_behind():
    """A frame that takes seconds on a thin link says nothing of it meanwhile; a probe would only queue behind it."""
    found = tuple(estimate(candidate, SPEEDS, SLOW) for candidate in (CLOUD, SPLIT, HOME))
    in_flight = [1]
    controller = SplitController(found, CLOUD, objective(), PLAN, SLOW, waiting=lambda: bool(in_flight))
    controller.link.probe(100, 0.01, perf_counter() - 2 * IDLE_S)
    assert not controller.idle()
    in_flight.clear()
    assert controller.idle()
    controller.link.probe(100, 0.01, perf_counter())
    assert not controller.idle()
