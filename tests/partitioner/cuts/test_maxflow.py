"""The minimum cut of a flow network with real capacities."""

from tests.support.graphs import chain

from partway.partitioner.cuts.mincut import cheapest, problem


def test_costs_of_very_different_size_are_still_told_apart():
    """A difference of nanoseconds is seen although another cut costs a day."""
    asked = problem(chain([10**9, 1001, 1000, 10**9]), [1e-6, 1e-12, 1e5], [0.0, 0.0, 0.0])
    assert asked.graph.crossing(cheapest(asked, 1.0, 1 / 1e9)) == ("v2",)


def test_a_millionth_of_the_whole_time_decides():
    """Rounding capacities to integers is far finer than that."""
    asked = problem(chain([10**6, 1000, 999, 1]), [0.0, 0.999, 1e6], [0.0, 0.0, 0.0])
    assert asked.graph.crossing(cheapest(asked, 1.0, 1 / 8.0)) == ("v2",)
