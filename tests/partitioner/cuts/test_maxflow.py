"""The minimum cut of a flow network with real capacities."""

import sys

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.graphs import chain

from partway.errors import InputError
from partway.partitioner.cuts.maxflow import SINK, SOURCE, Network, source_side
from partway.partitioner.cuts.mincut import cheapest, cut_problem


def test_costs_of_very_different_size_are_still_told_apart():
    """A difference of nanoseconds is seen although another cut costs a day."""
    asked = cut_problem(chain([10**9, 1001, 1000, 10**9]), [1e-6, 1e-12, 1e5], [0.0, 0.0, 0.0])
    assert asked.graph.crossing(cheapest(asked, 1.0, 1 / 1e9)) == ("v2",)


def test_a_millionth_of_the_whole_time_decides():
    """Rounding capacities to integers is far finer than that."""
    asked = cut_problem(chain([10**6, 1000, 999, 1]), [0.0, 0.999, 1e6], [0.0, 0.0, 0.0])
    assert asked.graph.crossing(cheapest(asked, 1.0, 1 / 8.0)) == ("v2",)


def random_network(seed: int) -> tuple[Network, np.ndarray]:
    """Some nodes between source and sink, edges at random, a few of which must not be cut."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(3, 9))
    pairs = {(int(tail), int(head)) for tail, head in rng.integers(0, nodes, (3 * nodes, 2)) if tail != head}
    pairs = {(tail, head) for tail, head in pairs if head != SOURCE and tail != SINK} | {(SOURCE, 2), (2, SINK)}
    edges = np.array(sorted(pairs), np.int32)
    capacities = rng.integers(0, 50, len(edges)) * 10.0 ** rng.integers(-3, 3)
    middle = (edges[:, 0] != SOURCE) & (edges[:, 1] != SINK)
    capacities[middle & (rng.random(len(edges)) < 0.2)] = np.inf
    return Network(nodes, edges[:, 0].copy(), edges[:, 1].copy()), capacities


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_the_cut_found_costs_what_another_solver_finds(seed: int) -> None:
    """networkx, with capacities that are not rounded, finds no cheaper cut, and no edge that must stay is cut."""
    network, capacities = random_network(seed)
    finite = capacities[np.isfinite(capacities)]
    side = source_side(network, capacities, float(finite.sum()))
    assert side[SOURCE] and not side[SINK]
    cost = float(capacities[side[network.tails] & ~side[network.heads]].sum())
    drawn = networkx.DiGraph()
    drawn.add_nodes_from(range(network.nodes))
    for tail, head, capacity in zip(network.tails, network.heads, capacities, strict=True):
        drawn.add_edge(int(tail), int(head), **({"capacity": capacity} if np.isfinite(capacity) else {}))
    assert cost == pytest.approx(networkx.minimum_cut_value(drawn, SOURCE, SINK), rel=1e-6, abs=1e-12)


def test_of_equal_cuts_the_source_keeps_the_fewest_nodes() -> None:
    """Two edges of one capacity in a row: the first of them is cut."""
    network = Network(3, np.array([0, 2], np.int32), np.array([2, 1], np.int32))
    assert source_side(network, np.array([5.0, 5.0]), 10.0).tolist() == [True, False, False]
    assert source_side(network, np.array([5.0, 4.0]), 9.0).tolist() == [True, False, True]


def test_a_network_that_costs_nothing_to_cut_is_cut() -> None:
    """With all capacities zero everything but the source is on the sink's side."""
    network = Network(3, np.array([0, 2], np.int32), np.array([2, 1], np.int32))
    assert source_side(network, np.zeros(2), 0.0).tolist() == [True, False, False]


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has the command that installs it."""
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    network = Network(3, np.array([0, 2], np.int32), np.array([2, 1], np.int32))
    with pytest.raises(InputError, match=r"partway\[partition\]"):
        source_side(network, np.ones(2), 2.0)
