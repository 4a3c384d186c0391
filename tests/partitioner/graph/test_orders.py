"""Topological orders of a graph and the frontiers along them."""

from hypothesis import given, settings
from tests.support.random_graphs import graphs

from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.graph.orders import depth_first, frontiers, orders, smallest_frontier
from partway.proto.tensors import TensorSpec


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


def test_orders_complete_the_prefixes_they_pass_through() -> None:
    """Each milestone's operators come before all others."""
    graph = branches()
    for order in orders(graph, through=[0b010100, 0b010101]):
        assert set(order[:2]) == {2, 4}
        assert set(order[:3]) == {0, 2, 4}
        assert sorted(order) == list(range(6))


def branches() -> Graph:
    """Two branches of two operators each, listed side by side, an unread output of a third, and their sum."""
    operators = (
        Operator("left1", "Any", ("x",), ("l1",)),
        Operator("left2", "Any", ("l1",), ("l2",)),
        Operator("right1", "Any", ("x",), ("r1",)),
        Operator("right2", "Any", ("r1",), ("r2",)),
        Operator("side", "Any", ("x",), ("s",)),
        Operator("end", "Any", ("l2", "r2"), ("out",)),
    )
    sizes = {"x": 10, "l1": 50, "l2": 1, "r1": 2, "r2": 3, "s": 1, "out": 1}
    specs = {name: TensorSpec(name, "uint8", (size,)) for name, size in sizes.items()}
    return Graph(operators, specs, {}, ("x",), ("out", "s"))


def test_depth_first_finishes_a_branch_before_the_next_begins() -> None:
    """Output by output; operators that no output needs come last."""
    assert depth_first(branches()) == (0, 1, 2, 3, 5, 4)
    graph = branches()
    unread = Graph(graph.operators, graph.values, {}, ("x",), ("out",))
    assert depth_first(unread)[-1] == 4


def test_the_greedy_order_keeps_fewest_bytes_alive() -> None:
    """The branch that swells to 50 bytes is put off as long as possible, and the side output costs nothing."""
    order = smallest_frontier(branches())
    assert order.index(0) > order.index(3)
    assert sorted(order) == list(range(6))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(graphs)
def test_frontiers_are_what_crosses_after_each_operator(graph: Graph) -> None:
    """Kept up to date operator by operator, they equal what the graph computes from scratch."""
    for order in orders(graph):
        reached = 0
        for index, (prefix, values) in zip(order, frontiers(graph, order), strict=True):
            reached |= 1 << index
            assert prefix == reached
            assert values == graph.crossing(reached)
