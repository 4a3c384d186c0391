"""What runs next, by tables: queue and clock in, decision out."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.cloud.batching.fair_queue import Queue
from partway.cloud.batching.scheduler import (
    BatchLimits,
    BatchRun,
    Mode,
    ModelState,
    QueuedFrame,
    Wait,
    decide,
    expired,
    refuse,
)

FOUR = (0.040, 0.030, 0.020, 0.010, 0.0)
"""Seconds of the suffixes of a model of four stages of 10 ms."""
BUSY = ModelState(FOUR, most=16, row_cost=0.1, gap_s=0.0, streams=8)
AT_ONCE = BatchLimits(max_wait_s=0.0)


def at(k: int, stage: int | None = None, model: str = "m", stream: object = None, **options: Any) -> QueuedFrame:
    """A frame that entered at cut k and stands before a stage."""
    made = QueuedFrame(model, stream or object(), k, **{"received_s": 0.0, "cost_s": FOUR[k], **options})
    made.stage = k if stage is None else stage
    return made


def told(
    queue: list[QueuedFrame], limits: BatchLimits = AT_ONCE, known: ModelState = BUSY, now_s: float = 0.0
) -> BatchRun | Wait:
    return decide(queue, now_s, limits, {"m": known, "n": known})


def ran(step: BatchRun | Wait) -> tuple[int, int, list[int]]:
    """First and last stage, and the cuts that the frames of the batch entered at."""
    assert isinstance(step, BatchRun)
    return step.first, step.last, [entry.k for entry in step.batch]


def waited(step: BatchRun | Wait) -> float:
    assert isinstance(step, Wait)
    return round(step.seconds, 6)


@pytest.mark.parametrize(
    ("cuts", "mode", "expected"),
    [
        ([0, 0, 0], Mode.ACROSS, (0, 1, [0, 0, 0])),
        ([0, 2, 0, 1], Mode.ACROSS, (0, 1, [0, 0])),
        ([2, 0], Mode.ACROSS, (0, 1, [0])),
        ([3, 3], Mode.ACROSS, (3, 4, [3, 3])),
        ([2, 0, 2], Mode.PER_CUT, (2, 4, [2, 2])),
        ([0, 2, 0], Mode.PER_CUT, (0, 4, [0, 0])),
        ([0, 0, 2], Mode.NONE, (0, 4, [0])),
    ],
)
def test_who_runs_first(cuts: list[int], mode: Mode, expected: tuple[int, int, list[int]]) -> None:
    """Across cuts the earliest are brought forward; per cut and alone, the first in order runs to the end."""
    assert ran(told([at(k) for k in cuts], replace(AT_ONCE, mode=mode))) == expected


def test_frames_meet_at_the_first_common_stage() -> None:
    """One from cut 0, one from 1 and two from 3 take four steps, and each step has all that have come so far."""
    queue, steps = [at(3), at(0), at(1), at(3)], []
    while queue:
        step = told(queue)
        steps.append(ran(step))
        assert isinstance(step, BatchRun)
        for entry in step.cohort:
            entry.carried = True
        for entry in step.batch:
            entry.stage = step.last
        queue = [entry for entry in queue if entry.stage < 4]
    assert [(first, sorted(cuts)) for first, _, cuts in steps] == [
        (0, [0]), (1, [0, 1]), (2, [0, 1]), (3, [0, 1, 3, 3]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "cuts", "last"),
    [
        (replace(BUSY, streams=1), [0], 4),
        (replace(BUSY, streams=1), [0, 2], 2),
        (BUSY, [0], 1),
        (replace(BUSY, whole=True), [0], 4),
        (replace(BUSY, whole=True), [0, 3, 2], 2),
    ],
)
def test_how_far_a_batch_runs(known: ModelState, cuts: list[int], last: int) -> None:
    """Alone to the end, or to where another waits; stage by stage where others may come meanwhile."""
    assert ran(told([at(k) for k in cuts], known=known))[1] == last


def test_a_batch_is_no_larger_than_pays() -> None:
    """Samples count, not frames; a frame that is too large by itself still runs."""
    queue = [at(0), at(0, rows=3), at(0, rows=2), at(0)]
    assert [entry.rows for entry in told(queue, known=replace(BUSY, most=4)).batch] == [1, 3]  # type: ignore[union-attr]
    assert [entry.rows for entry in told(queue, known=replace(BUSY, most=3)).batch] == [1, 2]  # type: ignore[union-attr]
    assert ran(told([at(0, rows=9), at(0)], known=replace(BUSY, most=4))) == (0, 1, [0])


def test_models_are_not_mixed() -> None:
    """Nor are frames that have to run by themselves."""
    assert ran(told([at(0), at(0, model="n"), at(1, joins=False)])) == (0, 1, [0])
    assert ran(told([at(1, joins=False), at(1), at(0)])) == (1, 4, [1])


@pytest.mark.parametrize(
    ("left", "behind", "stage"),
    [
        ((0.020, 0.015, 0.010, 0.005, 0.0), 1, 0),
        ((0.400, 0.300, 0.200, 0.100, 0.0), 1, 3),
        ((0.400, 0.395, 0.390, 0.200, 0.0), 1, 0),
    ],
)
def test_nobody_waits_long_to_save_little(left: tuple[float, ...], behind: int, stage: int) -> None:
    """A frame near the end waits for those at the beginning when they are soon there or it has as far to go itself."""
    queue = [at(3), *(at(0) for _ in range(behind))]
    assert ran(told(queue, known=replace(BUSY, suffix_s=left, whole=True)))[0] == stage


def test_a_deadline_is_not_missed_for_company() -> None:
    """A frame whose deadline leaves no time to be caught up with goes first."""
    known = replace(BUSY, suffix_s=(0.02, 0.015, 0.01, 0.005, 0.0))
    assert ran(told([at(3, deadline_s=0.015), at(0)], known=known))[0] == 3
    assert ran(told([at(3, deadline_s=0.5), at(0)], known=known))[0] == 0


@pytest.mark.parametrize(
    ("known", "entry", "now_s", "seconds"),
    [
        (BUSY, {}, 0.0, 0.002),
        (BUSY, {}, 0.0015, 0.0005),
        (BUSY, {}, 0.002, None),
        (replace(BUSY, streams=1), {}, 0.0, None),
        (replace(BUSY, gap_s=0.5), {}, 0.0, None),
        (replace(BUSY, most=1), {}, 0.0, None),
        (BUSY, {"deadline_s": 0.0405}, 0.0, 0.0005),
        (BUSY, {"deadline_s": 0.03}, 0.0, None),
        (BUSY, {"cost_s": 0.001}, 0.0, 0.001),
        (BUSY, {"joins": False}, 0.0, None),
    ],
)
def test_how_long_a_frame_waits_for_company(
    known: ModelState, entry: dict[str, Any], now_s: float, seconds: float
) -> None:
    """Only while others are active and likely to send in time, not past a deadline, nor longer than it takes itself."""
    step = told([at(0, **entry)], BatchLimits(max_wait_s=0.002), known, now_s)
    assert waited(step) == seconds if seconds is not None else isinstance(step, BatchRun)


def test_a_model_whose_frames_wait_does_not_hold_up_another() -> None:
    """The other model runs meanwhile."""
    queue = [at(0), at(0, model="n", received_s=-1.0)]
    step = told(queue, BatchLimits(max_wait_s=0.002))
    assert isinstance(step, BatchRun)
    assert step.batch == (queue[1],)


def test_an_empty_queue_waits_for_ever() -> None:
    assert told([]) == Wait(inf)


def test_only_frames_that_have_not_begun_expire() -> None:
    """At the deadline they are still in time."""
    queue = [at(0, deadline_s=1.0), at(0, stage=1, deadline_s=0.5), at(2, deadline_s=1.5), at(0)]
    assert expired(queue, 1.0) == []
    assert expired(queue, 1.1) == [queue[0]]


@pytest.mark.parametrize(
    ("waiting", "comes", "sizes", "gone"),
    [
        ("ab", "a", 1, ""),
        ("abab", "a", 1, "new"),
        ("aaab", "b", 1, "2"),
        ("aaaa", "b", 1, "3"),
        ("abcd", "e", 1, "new"),
        ("aab", "c", 30, "1"),
        ("aab", "b", 30, "new"),
        ("ab", "a", 60, "new"),
        ("", "a", 999, ""),
    ],
)
def test_a_full_queue_drops_of_the_stream_that_fills_it(waiting: str, comes: str, sizes: int, gone: str) -> None:
    """Four frames or 100 bytes may wait: the last of the longest stream goes, or the new one if that is its own."""
    queue = [at(0, stream=stream, size_bytes=sizes) for stream in waiting]
    new = at(0, stream=comes, size_bytes=sizes)
    expected = {"": [], "new": [new]}.get(gone) if not gone.isdigit() else [queue[int(gone)]]
    assert refuse(queue, new, BatchLimits(max_queue=4, max_bytes=100)) == expected


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
