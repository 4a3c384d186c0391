"""The minimum cut against brute force, over single bandwidths and all of them."""

import math
from itertools import pairwise

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.best_prefix import best_prefix, is_prefix, total_s
from tests.support.random_graphs import costs, every_prefix, graphs, random_times

from partway.errors import InputError
from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec

many = settings(max_examples=2000, deadline=None, derandomize=True)
some = settings(many, max_examples=400)
seeds = st.integers(0, 2**32)
PRECISION = 1e-6


def chain(sizes: list[int]) -> Graph:
    """Operators one after another; ``sizes`` are the bytes of the input and of each operator's output."""
    names = [f"v{at}" for at in range(len(sizes))]
    operators = tuple(Operator(f"op{at}", "Any", (read,), (made,)) for at, (read, made) in enumerate(pairwise(names)))
    specs = {name: TensorSpec(name, "uint8", (size,)) for name, size in zip(names, sizes, strict=True)}
    return Graph(operators, specs, {}, (names[0],), (names[-1],))


@many
@given(graphs, seeds, st.booleans(), st.floats(1, 1e6))
def test_the_minimum_cut_is_what_brute_force_finds(graph, seed, faster_cloud, bandwidth_bps):
    """On random graphs no downward-closed set is cheaper than the one found, and it costs what it says."""
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud))
    best = best_prefix(asked, bandwidth_bps)
    own_s, bits = costs(asked, every_prefix(graph))
    least_s = (sum(asked.cloud_s) + own_s + bits / bandwidth_bps).min()
    assert is_prefix(graph, best.prefix)
    assert best.total_s == pytest.approx(least_s, rel=PRECISION, abs=1e-12)


@many
@given(graphs, seeds, st.booleans())
def test_a_sweep_holds_the_best_prefix_of_every_bandwidth(graph, seed, faster_cloud):
    """Everywhere along the sweep, its span's prefix costs what brute force finds, and spans follow without gap."""
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud))
    own_s, bits = costs(asked, every_prefix(graph))
    spans = sweep(asked)
    assert spans[0].from_bps == 0
    assert spans[-1].to_bps == math.inf
    assert all(before.to_bps == after.from_bps for before, after in pairwise(spans))
    for span in spans:
        bandwidth_bps = _inside(span)
        least_s = (sum(asked.cloud_s) + own_s + bits / bandwidth_bps).min()
        assert total_s(asked, span.prefix, bandwidth_bps) == pytest.approx(least_s, rel=PRECISION, abs=1e-12)


@many
@given(graphs, seeds)
def test_with_a_cloud_faster_on_every_operator_the_best_prefixes_are_nested(graph, seed):
    """The more bandwidth, the less the device runs."""
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud=True))
    assert all(after.prefix & ~before.prefix == 0 for before, after in pairwise(sweep(asked)))


@some
@given(graphs, seeds, st.data())
def test_a_value_kept_on_the_device_never_crosses(graph, seed, data):
    """The best prefix under the constraint is the best of those that obey it."""
    kept = data.draw(st.sampled_from(graph.activations))
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud=True), keep=[kept])
    best = best_prefix(asked, 1000.0)
    own_s, bits = costs(asked, every_prefix(graph))
    assert kept not in best.cut.values
    assert best.total_s == pytest.approx((sum(asked.cloud_s) + own_s + bits / 1000.0).min(), rel=PRECISION, abs=1e-12)


def _inside(span):
    low, high = span.from_bps or span.to_bps / 10, span.to_bps
    if high == math.inf:
        return low * 10 or 1.0
    return math.sqrt(low * high) or 1.0


def crossed_branches() -> Graph:
    """Two branches: the cloud is slow at the first one's operators, the device at the second one's."""
    operators = (
        Operator("a", "Any", ("x",), ("a",)),
        Operator("b", "Any", ("y",), ("b",)),
        Operator("end", "Any", ("a", "b"), ("out",)),
    )
    sizes = {"x": 10, "y": 60, "a": 30, "b": 1, "out": 1}
    specs = {name: TensorSpec(name, "uint8", (size,)) for name, size in sizes.items()}
    return Graph(operators, specs, {}, ("x", "y"), ("out",))


def test_with_a_cloud_that_is_slower_somewhere_the_best_prefixes_need_not_be_nested():
    """With little bandwidth b belongs on the device, with much a: neither set holds the other, so no chain has both."""
    asked = cut_problem(crossed_branches(), [0.0, 2.0, 50.0], [1.0, 1.0, 0.0])
    prefixes = [span.prefix for span in sweep(asked)]
    assert any(one & ~other and other & ~one for one in prefixes for other in prefixes)


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
    best = best_prefix(cut_problem(graph, [1, 1, 1, 100], [0, 0, 0, 0]), bandwidth_bps=8.0)
    assert best.cut.values == ("x",)
    assert best.total_s == 1 + 10


def test_costs_of_very_different_size_are_still_told_apart():
    """A difference of nanoseconds is seen although another cut costs a day."""
    asked = cut_problem(chain([10**9, 1001, 1000, 10**9]), [1e-6, 1e-12, 1e5], [0.0, 0.0, 0.0])
    assert best_prefix(asked, 1e9).cut.values == ("v2",)


def test_a_millionth_of_the_whole_time_decides():
    """Rounding capacities to integers is far finer than that."""
    asked = cut_problem(chain([10**6, 1000, 999, 1]), [0.0, 0.999, 1e6], [0.0, 0.0, 0.0])
    assert best_prefix(asked, 8.0).cut.values == ("v2",)


def test_wrong_times_or_names_are_input_errors():
    """Times must fit the graph and kept values must exist."""
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
    assert best_prefix(asked, 1000.0).total_s - sum(asked.cloud_s) == pytest.approx(least, rel=PRECISION, abs=1e-9)


def test_a_sweep_of_five_hundred_operators_takes_no_time():
    """Rounding and recursion stand a long model with branches; it is far from two seconds."""
    rng = np.random.default_rng(0)
    operators, last = [], "in"
    sizes = {"in": 600_000}
    for block in range(100):
        for branch, read in (("a", last), ("b", f"a{block}"), ("c", last), ("d", f"c{block}")):
            operators.append(Operator(f"{branch}{block}", "Any", (read,), (f"{branch}{block}",)))
            sizes[f"{branch}{block}"] = int(rng.integers(1000, 600_000 / (1 + block / 10)))
        operators.append(Operator(f"e{block}", "Any", (f"b{block}", f"d{block}"), (f"e{block}",)))
        last, sizes[f"e{block}"] = f"e{block}", int(rng.integers(1000, 600_000 / (1 + block / 10)))
    specs = {name: TensorSpec(name, "uint8", (size,)) for name, size in sizes.items()}
    graph = Graph(tuple(operators), specs, {}, ("in",), (last,))
    times = rng.random(500) / 100
    spans = sweep(cut_problem(graph, times.tolist(), (times / 20).tolist()))
    assert len(spans) > 3
    assert all(after.prefix & ~before.prefix == 0 for before, after in pairwise(spans))
