"""What runs next, by tables: queue and clock in, decision out."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from tests.support.queued_frames import FOUR, at

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

BUSY = ModelState(FOUR, most=16, row_cost=0.1, gap_s=0.0, streams=8)
AT_ONCE = BatchLimits(max_wait_s=0.0)


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
        (replace(BUSY, fuses=True), [0], 4),
        (replace(BUSY, fuses=True), [0, 3, 2], 2),
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
    assert ran(told(queue, known=replace(BUSY, suffix_s=left, fuses=True)))[0] == stage


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
