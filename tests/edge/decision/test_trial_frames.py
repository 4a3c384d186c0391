"""Only frames that the cloud itself answered measure it."""

import logging
from functools import partial

import pytest
from tests.support.affine import STAGES, affine_chain, runner_on, samples

from partway.edge.decision.trial import decide, frame_link, try_candidate
from partway.edge.decision.trial_frames import TRIAL_FRAMES, TrialFrames
from partway.edge.transport.fake import Behaviour, FakeCloud
from partway.partitioner.decide.estimate import Candidate, Link, Speeds

SPLIT = Candidate(1, "raw", 100, 50)
LINK = Link(1e7, 0.04)


def _frames(behaviour: Behaviour, full_s: float = 0.05) -> tuple[FakeCloud, TrialFrames]:
    cloud = FakeCloud(affine_chain(), behaviour)
    return cloud, TrialFrames(runner_on(cloud), samples(1)[0], full_s)


def _full(cloud: FakeCloud) -> None:
    cloud.refuse("too many frames wait", retry_ms=10)


def test_a_full_cloud_is_not_measured(caplog: pytest.LogCaptureFixture) -> None:
    """What the device finished for it says nothing of the cloud; once a start the log tells so."""
    with caplog.at_level(logging.WARNING):
        cloud, frames = _frames(_full)
        assert frames(SPLIT) == frames(Candidate(2, "raw")) == []
    assert cloud.received > 1, "it is tried again after as long as it asked"
    assert caplog.text.count("candidates without a measurement keep their estimates") == 1


def test_the_link_to_a_full_cloud_is_what_probes_found() -> None:
    """Frames that were refused do not make it faster."""
    assert frame_link(_frames(_full)[1], LINK, STAGES) == LINK


def test_candidates_that_are_refused_keep_their_estimates() -> None:
    """The device, which needs nobody, is measured all the same."""
    runner = runner_on(FakeCloud(affine_chain(), lambda cloud: cloud.refuse("no")))
    speeds = Speeds((1.0,) * STAGES, (0.1,) * STAGES)
    made = decide(
        [SPLIT, Candidate(STAGES, None)], speeds, LINK, partial(try_candidate, TrialFrames(runner, samples(1)[0]))
    )
    assert [estimate.measured_s is None for estimate in made] == [True, False]
    assert made[0].link_s > LINK.rtt_s


def test_a_cloud_that_is_full_for_a_moment_is_measured_then() -> None:
    """After as long as the cloud asked, frames go again, and only those that it answered count."""

    def briefly(cloud: FakeCloud) -> None:
        if cloud.received <= 2:
            _full(cloud)
        else:
            cloud.answer()

    cloud, frames = _frames(briefly, full_s=5.0)
    found = frames(SPLIT)
    assert len(found) == TRIAL_FRAMES
    assert {result.answered_by for result in found} == {"cloud"}
    assert cloud.received == TRIAL_FRAMES + 4


def test_trial_frames_do_not_count_what_reading_their_picture_took() -> None:
    """It was read beforehand, and every candidate needs it read."""
    from dataclasses import replace

    cloud = FakeCloud(affine_chain(), lambda cloud: cloud.answer())  # type: ignore[arg-type,return-value]
    found = TrialFrames(runner_on(cloud), replace(samples(1)[0], read_s=9.0))(SPLIT)
    assert max(result.total_s for result in found) < 9.0
