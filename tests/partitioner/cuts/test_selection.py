"""Which of all splits a chain gets."""

import numpy as np
import pytest

from partway.partitioner.cuts.selection import MEAN, WORST, chosen_splits
from partway.partitioner.cuts.situations import Regrets, Splits


def splits(before: list[float], sent: list[float], weights: list[float] | None = None) -> Splits:
    """Splits of one second of work: shares before each, kilobytes sent at every level."""
    prefix_s = np.array(before)
    return Splits(
        prefix_s,
        prefix_s[-1] - prefix_s,
        np.zeros(len(before)),
        np.tile(np.array(sent) * 1e3, (4, 1)),
        np.array(weights or before),
        np.arange(len(before)) == 0,
    )


def chosen(some: Splits, most: int = 8, least_share: float = 0.004) -> tuple[int, ...]:
    """Inner splits of the chain."""
    last = len(some.prefix_s) - 1
    found = chosen_splits(Regrets(some), some.prefix_s, range(1, last), (0, last), most, least_share)
    return found[1:-1]


def test_a_chain_is_good_enough_in_every_setting() -> None:
    """Or as long as it may be."""
    one = splits([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1], [150, 90, 60, 40, 30, 10, 0])
    chain = (0, *chosen(one), 6)
    assert all(regret.mean <= MEAN and regret.worst <= WORST for regret in Regrets(one).of(chain))
    assert len(chain) < 7


def test_an_early_cut_is_wanted_where_the_input_stays() -> None:
    """It sends more than the input and still wins where the input may not be sent."""
    one = splits([0, 0.05, 0.9, 1], [15, 60, 40, 0])
    assert 1 in chosen(one)


def test_of_neighbours_the_one_that_sends_less_is_chosen() -> None:
    """With hardly any work between them."""
    one = splits([0, 0.3, 0.305, 0.31, 1], [150, 90, 30, 80, 0])
    assert chosen(one, least_share=0.02) == (2,)


@pytest.mark.parametrize("most", [0, 1, 2])
def test_no_more_than_asked_for(most: int) -> None:
    """Whatever the regret."""
    one = splits([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1], [150, 90, 60, 40, 30, 10, 0])
    assert len(chosen(one, most)) <= most


def test_neighbours_without_work_between_them_are_not_both_chosen() -> None:
    """A stage that does nothing is a boundary paid for nothing."""
    one = splits([0, 0.3, 0.301, 0.302, 0.6, 1], [150, 60, 50, 45, 30, 0])
    chain = chosen(one)
    assert len({1, 2, 3} & set(chain)) <= 1
    assert chain


def test_a_model_that_computes_nothing_has_no_chain() -> None:
    """All splits are alike; nothing is gained by a boundary."""
    assert chosen(splits([0, 0, 0, 0], [1, 1, 1, 0])) == ()
