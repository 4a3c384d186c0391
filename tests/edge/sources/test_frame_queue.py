"""Between a source that does not wait and the runner."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.affine import affine_chain, assert_each_answered_once, runner_on, samples

from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import FrameQueue
from partway.edge.transport.fake import FakeCloud, answer_all
from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate

PATIENCE_S = 20.0


def _until_ended(frame_queue: FrameQueue) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while frame_queue._thread.is_alive() and time.monotonic() < until_s:
        time.sleep(0.001)


def _names(frame_queue: FrameQueue) -> list[str]:
    taken = []
    while (some := frame_queue.take(2)) is not None:
        taken += [sample.name for sample, _ in some]
    return taken


@pytest.mark.parametrize(
    ("policy", "left"), [("drop-oldest", [6, 7, 8, 9]), ("drop-newest", [0, 1, 2, 3]), ("block", None)]
)
def test_a_policy_says_what_is_kept(policy: str, left: list[int] | None):
    """Ten frames come and nobody takes them: four are kept, the others counted; or the source waits."""
    with FrameQueue(samples(10), policy, 4) as frame_queue:
        if left is None:
            frame_queue.wait(PATIENCE_S)
            assert _names(frame_queue) == [f"sample {index}" for index in range(10)]
            assert frame_queue.dropped == 0
        else:
            _until_ended(frame_queue)
            assert _names(frame_queue) == [f"sample {index}" for index in left]
            assert frame_queue.dropped == 6


def test_an_unknown_policy_is_refused():
    with pytest.raises(InputError, match="drop-oldest"):
        FrameQueue([], "drop-all")


def test_what_the_source_raises_comes_after_what_it_gave():
    def broken() -> Iterator[Sample]:
        yield from samples(2)
        raise InputError("the camera is gone")

    with FrameQueue(broken()) as frame_queue:
        _until_ended(frame_queue)
        assert len(frame_queue.take(5) or []) == 2
        with pytest.raises(InputError, match="camera"):
            frame_queue.take(5)


def test_closing_ends_a_source_that_waits_for_room():
    frame_queue = FrameQueue(samples(50), "block", 2)
    frame_queue.wait(PATIENCE_S)
    frame_queue.close()
    _until_ended(frame_queue)
    assert "source" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("batch", [1, 3])
def test_a_runner_answers_a_feed(batch: int):
    """Every frame once and in order, from a source that blocks, with a cloud that answers."""
    cloud = FakeCloud(affine_chain(), answer_all)
    with FrameQueue(samples(20)) as frame_queue:
        results = list(runner_on(cloud, batch=batch).run(frame_queue, lambda: Candidate(1, "raw")))
    assert_each_answered_once(results, 20)


def test_frames_dropped_have_no_number():
    """What was dropped never began: ids stay without a gap."""
    cloud = FakeCloud(affine_chain(), answer_all)
    with FrameQueue(samples(30), "drop-oldest", 3) as frame_queue:
        _until_ended(frame_queue)
        results = list(runner_on(cloud).run(frame_queue, lambda: Candidate(1, "raw")))
    assert [result.id for result in results] == [0, 1, 2]
    assert [result.name for result in results] == ["sample 27", "sample 28", "sample 29"]
    assert frame_queue.dropped == 27


@pytest.mark.parametrize(
    ("policy", "live", "waits"), [("block", False, False), ("block", True, True), ("drop-oldest", False, True)]
)
def test_a_frame_comes_when_its_source_has_it(policy: str, live: bool, waits: bool):
    """Frames that come by themselves wait from then on; those read ahead of files come when they are taken."""
    given = [replace(sample, live=live, read_s=1.0) for sample in samples(2)]
    with FrameQueue(given, policy) as frame_queue:
        _until_ended(frame_queue)
        assert frame_queue.behind() is waits
        before_s = time.perf_counter()
        ((_, arrived_s),) = frame_queue.take(1) or []
    assert (arrived_s + 1.0 < before_s) is waits, "reading it is part of its age"
