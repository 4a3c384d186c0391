"""Replays in virtual time: what they must get right where it can be worked out by hand."""

import pytest
from benchmarks.virtual import HEAD_BYTES, Replay, Road, World, clairvoyant, mean_s, static

from partway.edge.emulator.shaper import TracePace, wire_bytes
from partway.partitioner.decide.estimate import Candidate, Estimate, Link
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))
HOME, CLOUD = Candidate(len(PLAN.stages), None), Candidate(0, "raw", 20_000, 100)
GOOD = [ms / 1e3 for ms in range(1, 10_001)]
"""12 Mbit/s for ten seconds."""
BAD = [10 + ms / 1e3 for ms in range(100, 10_001, 100)]
"""Then a hundredth of it."""


def world(times_s: list[float], fps: float | None = None) -> World:
    """200 ms on the device, or 20 KB to a cloud that takes 10 ms."""
    found = [Estimate(HOME, prefix_s=0.2), Estimate(CLOUD, suffix_s=0.01)]
    return World(found, PLAN, Road(TracePace(times_s), TracePace(times_s), 0.04), Link(12e6, 0.04), fps)


def test_a_frame_takes_what_the_link_says() -> None:
    """A packet a millisecond there and back, the round trip, and the cloud's time."""
    frames = list(static(world(GOOD), CLOUD, 5.0))
    packets = -(-wire_bytes(20_000 + HEAD_BYTES) // 1500) + 1
    assert mean_s(frames) == pytest.approx(packets * 1e-3 + 0.04 + 0.01, abs=1.5e-3)
    assert all(frame.by_cloud for frame in frames)


def test_auto_leaves_a_link_that_fails_and_the_clairvoyant_left_before() -> None:
    """Neither sends much over the bad half; a static candidate without a way back does."""
    both = [*GOOD, *BAD]
    auto, ahead = list(Replay(world(both)).frames(20.0)), list(clairvoyant(world(both), 20.0))
    stuck = list(static(world(both), CLOUD, 20.0, rescued=False))
    for frames in (auto, ahead):
        assert all(frame.by_cloud for frame in frames if frame.at_s < 9)
        assert not any(frame.by_cloud for frame in frames if frame.at_s > 13)
    assert not any(frame.by_cloud for frame in ahead if frame.at_s > 10)
    assert max(frame.total_s for frame in stuck) > 1 > max(frame.total_s for frame in auto)


def test_a_camera_begins_frames_when_they_are_due() -> None:
    """Two a second, and what waits too long is dropped."""
    frames = list(static(world(GOOD, fps=2.0), HOME, 5.0))
    assert [frame.at_s for frame in frames] == pytest.approx([0.5 * index for index in range(10)])
