"""The few cuts that are chosen out of many."""

from partway.partitioner.cuts.selection import few


def test_neighbours_that_hardly_differ_make_one_stage():
    """Three cuts of nearly the same bytes and work are not three stages."""
    assert few([1000, 100, 99.9, 99.8, 10], [[0, 0.5, 0.501, 0.502, 0.9]], limit=5) == (1, 4)


def test_the_few_chosen_spare_most():
    """With room for one, the cut that saves most bytes over most of the model."""
    assert few([1000, 900, 100, 90], [[0, 0.1, 0.3, 0.9]], limit=1) == (2,)
