"""The minimum cut for one bandwidth, against brute force and another solver."""

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.graphs import chain
from tests.support.random_graphs import costs, every_prefix, graphs, is_prefix, random_times, total_s

from partway.errors import InputError
from partway.partitioner.cuts.mincut import cheapest, cut_problem
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec

many = settings(max_examples=2000, deadline=None, derandomize=True)
some = settings(many, max_examples=400)
seeds = st.integers(0, 2**32)
PRECISION = 1e-6


@pytest.mark.slow
@many
@given(graphs, seeds, st.booleans(), st.floats(1, 1e6))
def test_the_minimum_cut_is_what_brute_force_finds(graph, seed, faster_cloud, bandwidth_bps):
    """On random graphs no downward-closed set is cheaper than the one found, and it costs what it says."""
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud))
    best = cheapest(asked, 1.0, 1.0 / bandwidth_bps)
    own_s, bits = costs(asked, every_prefix(graph))
    least_s = (sum(asked.cloud_s) + own_s + bits / bandwidth_bps).min()
    assert is_prefix(graph, best)
    assert total_s(asked, best, bandwidth_bps) == pytest.approx(least_s, rel=PRECISION, abs=1e-12)


@some
@given(graphs, seeds, st.data())
def test_a_value_kept_on_the_device_never_crosses(graph, seed, data):
    """The best prefix under the constraint is the best of those that obey it."""
    kept = data.draw(st.sampled_from(graph.activations))
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud=True), keep=[kept])
    best = cheapest(asked, 1.0, 1 / 1000.0)
    own_s, bits = costs(asked, every_prefix(graph))
    least_s = (sum(asked.cloud_s) + own_s + bits / 1000.0).min()
    assert kept not in graph.crossing(best)
    assert total_s(asked, best, 1000.0) == pytest.approx(least_s, rel=PRECISION, abs=1e-12)


def test_a_value_read_by_two_operators_is_paid_for_once():
    """Sending x to both readers costs its bytes once, which makes cutting there the best."""
    operators = (
        Operator("first", "Any", ("in",), ("x",)),
        Operator("left", "Any", ("x",), ("l",)),
        Operator("right", "Any", ("x",), ("r",)),
        Operator("end", "Any", ("l", "r"), ("out",)),
    )
    sizes = {"in": 100, "x": 10, "l": 9, "r": 9, "out": 1}
    graph = Graph(operators, {n: TensorSpec(n, "uint8", (s,)) for n, s in sizes.items()}, {}, ("in",), ("out",))
    asked = cut_problem(graph, [1, 1, 1, 100], [0, 0, 0, 0])
    best = cheapest(asked, 1.0, 1 / 8.0)
    assert graph.crossing(best) == ("x",)
    assert total_s(asked, best, 8.0) == 1 + 10


def test_wrong_times_or_names_are_input_errors():
    """Times must fit the graph, and kept values must exist."""
    graph = chain([3, 2, 1])
    with pytest.raises(InputError, match="2 operators"):
        cut_problem(graph, [1.0], [1.0])
    with pytest.raises(InputError, match="none of them negative"):
        cut_problem(graph, [1.0, -1.0], [1.0, 1.0])
    with pytest.raises(InputError, match="`nope`"):
        cut_problem(graph, [1.0, 1.0], [1.0, 1.0], keep=["nope"])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(graphs, seeds)
def test_another_solver_finds_the_same_cost(graph, seed):
    """networkx, with capacities that are not rounded, agrees."""
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud=True))
    edges = asked.edges
    network = networkx.DiGraph()
    network.add_nodes_from((0, 1))
    capacities = edges.own_s + edges.bits / 1000.0
    for tail, head, capacity, fixed in zip(
        edges.network.tails, edges.network.heads, capacities, edges.fixed, strict=True
    ):
        network.add_edge(tail, head, **({} if fixed else {"capacity": capacity}))
    least = networkx.minimum_cut_value(network, 0, 1)
    found_s = total_s(asked, cheapest(asked, 1.0, 1 / 1000.0), 1000.0) - sum(asked.cloud_s)
    assert found_s == pytest.approx(least, rel=PRECISION, abs=1e-9)
