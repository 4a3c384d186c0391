"""What batches are worth, learned from those that ran."""

import pytest

from partway.cloud.batching.batch_size import SINGLE_SAMPLING, BatchSpeedup

TWO = (0.2, 0.1, 0.0)


def speedup(seconds_of: "dict[int, float]", times: int = 3) -> BatchSpeedup:
    """After some batches of these sizes took this long over both stages."""
    made = BatchSpeedup(TWO)
    for rows, seconds in seconds_of.items():
        for _ in range(times * (SINGLE_SAMPLING if rows == 1 else 1)):
            made.learn(0, 2, rows, seconds)
    return made


@pytest.mark.parametrize(
    ("seconds_of", "most", "rows"),
    [
        ({}, 16, 2),
        ({1: 0.2}, 1, 1),
        ({1: 0.2, 2: 0.2}, 16, 4),
        ({1: 0.2, 2: 0.4}, 16, 1),
        ({1: 0.2, 2: 0.2, 4: 0.2, 8: 0.2, 16: 0.2}, 16, 16),
        ({1: 0.2, 2: 0.2, 4: 0.4}, 16, 2),
        ({1: 0.2, 2: 0.3, 4: 0.6, 8: 1.2}, 16, 2),
        ({1: 0.2, 2: 0.2}, 3, 3),
    ],
)
def test_batches_grow_as_long_as_that_pays(seconds_of: dict[int, float], most: int, rows: int) -> None:
    """Twice the size is tried once the last is known to be worth it; flat is not worth the waiting."""
    assert speedup(seconds_of).best(most)[0] == rows


def test_one_slow_run_decides_nothing() -> None:
    """A machine that was busy once is asked again: the fastest of several runs counts."""
    made = speedup({1: 0.2, 2: 0.2})
    made.learn(0, 2, 2, 9.0)
    assert made.best(4)[0] == 4


def test_what_a_row_costs_in_a_batch() -> None:
    """As a share of what it costs alone, all stages by their share of the time."""
    made = speedup({1: 0.2})
    for _ in range(3):
        made.learn(0, 1, 4, 0.1)
        made.learn(1, 2, 4, 0.4)
    assert made.ratio(2) == pytest.approx(0.5 * 0.25 + 0.5 * 1.0)
    assert speedup({1: 0.2, 2: 0.2}).best(2) == (2, pytest.approx(0.5))


def test_stages_without_time_teach_nothing() -> None:
    """A suffix that takes no time has no share."""
    made = BatchSpeedup((0.0, 0.0))
    made.learn(0, 1, 4, 1.0)
    assert made.best(16) == (2, 1.0)
