"""The queue of one device: fair shares, every stage once, and what is remembered of memory that ran out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.queued_frames import FOUR, at

from partway.cloud.batching.fair_queue import Queue
from partway.cloud.batching.scheduler import BatchLimits, BatchRun, Mode, QueuedFrame, Wait


class Clock:
    """A clock in hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def play(queue: Queue, clock: Clock, steps: int) -> list[QueuedFrame]:
    """Run so many steps as the model says they take; the frames that got through, in order."""
    through: list[QueuedFrame] = []
    for _ in range(steps):
        step = queue.next()
        if isinstance(step, Wait):
            break
        seconds = FOUR[step.first] - FOUR[step.last]
        clock.now_s += seconds
        done = step.last == 4
        queue.uses["m"].learn(step, seconds)
        queue.done(step.batch, step.last, done)
        through += step.batch if done else ()
    return through


def test_a_flood_does_not_delay_others() -> None:
    """A device that asks for one frame after another's two hundred is answered at once, not after them."""
    clock = Clock()
    queue = Queue(BatchLimits(mode=Mode.NONE), {"m": (FOUR, ())}, clock)
    for _ in range(200):
        queue.put(at(0, stream="flood"))
    assert len(play(queue, clock, 10)) == 10
    queue.put(at(0, stream="quiet"))
    assert "quiet" in [entry.stream for entry in play(queue, clock, 2)]


def test_streams_get_equal_shares_of_time() -> None:
    """Frames that cost four times as much are answered a quarter as often."""
    clock = Clock()
    queue = Queue(BatchLimits(mode=Mode.NONE), {"m": (FOUR, ())}, clock)
    for _ in range(100):
        queue.put(at(0, stream="long"))
        queue.put(at(3, stream="short"))
    answered = [entry.stream for entry in play(queue, clock, 100)]
    assert 78 <= answered.count("short") <= 82


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=40),
    st.sampled_from(Mode),
    st.integers(1, 8),
    st.booleans(),
)
def test_every_frame_runs_each_of_its_stages_once(
    frames: list[tuple[int, int, int]], mode: Mode, most: int, whole: bool
) -> None:
    """Whatever comes and whatever runs together, each frame passes every stage from its cut to the end, in order."""
    clock = Clock()
    queue = Queue(BatchLimits(mode, most, 0.0), {"m": (FOUR, (most,) if whole else ())}, clock)
    passed: dict[QueuedFrame, list[int]] = {}
    coming = [at(k, stream=stream, rows=rows, cost_s=FOUR[k] * rows) for k, stream, rows in frames]
    for turn in range(1000):
        for entry in coming[turn * 3 : turn * 3 + 3]:
            assert queue.put(entry) == []
            passed[entry] = []
        step = queue.next()
        if isinstance(step, Wait):
            assert not queue.entries
            if turn * 3 >= len(coming):
                break
            continue
        assert all(entry.stage == step.first for entry in step.batch)
        assert len(step.batch) == 1 or sum(entry.rows for entry in step.batch) <= most
        assert mode is Mode.ACROSS or len({entry.k for entry in step.batch}) == 1
        for entry in step.batch:
            passed[entry] += range(step.first, step.last)
        queue.done(step.batch, step.last, step.last == 4)
    assert [passed[entry] for entry in coming] == [list(range(entry.k, 4)) for entry in coming]
    assert queue.ahead_s == 0


def test_memory_that_ran_out_is_remembered_and_forgotten() -> None:
    """Half of what did not fit is tried from then on, and after many batches twice that."""
    queue = Queue(BatchLimits(), {"m": (FOUR, (16,))}, Clock())
    use = queue.uses["m"]
    use.too_large(16)
    assert use.state(0.0, queue.limits).most == 8
    step = BatchRun((at(0),), 0, 4, ())
    for _ in range(256):
        use.learn(step, 0.01)
    assert use.state(0.0, queue.limits).most == 16


def test_a_frame_is_dropped_from_a_full_queue() -> None:
    """The newest frame of the stream that holds most goes, and the others keep their order."""
    queue = Queue(BatchLimits(mode=Mode.NONE, max_queue=3), {"m": (FOUR, ())}, Clock())
    flood = [at(0, stream="flood") for _ in range(3)]
    for entry in flood:
        assert queue.put(entry) == []
    quiet = at(0, stream="quiet")
    assert queue.put(quiet) == [flood[2]]
    assert set(queue.entries) == {flood[0], flood[1], quiet}
    assert queue.ahead_s == pytest.approx(3 * FOUR[0])
