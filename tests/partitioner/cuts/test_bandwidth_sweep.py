"""The best prefixes over all bandwidths, against brute force."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.random_graphs import costs, every_prefix, graphs, random_times, total_s

from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec

many = settings(max_examples=2000, deadline=None, derandomize=True)


some = settings(many, max_examples=400)


seeds = st.integers(0, 2**32)


PRECISION = 1e-6


@pytest.mark.slow
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


@pytest.mark.slow
@many
@given(graphs, seeds)
def test_with_a_cloud_faster_on_every_operator_the_best_prefixes_are_nested(graph, seed):
    """The more bandwidth, the less the device runs."""
    asked = cut_problem(graph, *random_times(graph, seed, faster_cloud=True))
    assert all(after.prefix & ~before.prefix == 0 for before, after in pairwise(sweep(asked)))


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
    """With little bandwidth b belongs on the device, with much a: neither set holds the other."""
    asked = cut_problem(crossed_branches(), [0.0, 2.0, 50.0], [1.0, 1.0, 0.0])
    prefixes = [span.prefix for span in sweep(asked)]
    assert any(one & ~other and other & ~one for one in prefixes for other in prefixes)


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
