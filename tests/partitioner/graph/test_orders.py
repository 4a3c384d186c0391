"""Topological orders of a graph and the frontiers along them."""

from hypothesis import given, settings
from tests.support.random_graphs import graphs

from partway.partitioner.graph.orders import orders


@settings(max_examples=500, deadline=None, derandomize=True)
@given(graphs)
def test_every_order_is_topological_and_complete(graph):
    """Whatever it prefers, an order runs each operator once, after those it needs."""
    for order in orders(graph):
        assert sorted(order) == list(range(len(graph.operators)))
        done = 0
        for index in order:
            done |= 1 << index
            assert graph.ancestors[index] & ~done == 0
