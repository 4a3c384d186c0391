"""The cuts that a chain gets out of a graph and its costs."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.graphs import line
from tests.support.random_graphs import graphs

from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.chain import choose_chain, useful_cuts
from partway.partitioner.cuts.costs import LEVELS, Costs, estimated_costs
from partway.partitioner.cuts.crossing import Cut, prefix_of
from partway.partitioner.graph.graph import Graph


def costs(graph: Graph, coded: dict[str, float], seconds: float = 0.1) -> Costs:
    """The same bytes at every level, and operators that all take as long."""
    return Costs(
        (coded,) * len(LEVELS),
        dict.fromkeys(graph.activations, 0.0),
        (seconds,) * len(graph.operators),
        None,
        "given",
        "given",
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(graphs, st.integers(0, 6))
def test_useful_cuts_are_legal_nested_and_no_more_than_asked_for(graph: Graph, limit: int) -> None:
    """Of any graph."""
    known = costs(graph, {name: float(graph.size_bytes(name)) * 1e3 for name in graph.activations})
    cuts = useful_cuts(graph, known, limit)
    assert {*cuts} <= {one.cut for one in legal_cuts(graph, known.typical_bytes, known.operator_s)}
    prefixes = [prefix_of(graph, cut) for cut in cuts]
    assert all(before & ~after == 0 and before != after for before, after in pairwise(prefixes))
    assert len(cuts) <= limit


def test_coded_bytes_decide() -> None:
    """A value that is large uncoded is worth sending if it codes well, and not if it codes badly."""
    graph = line(("", "in", 100), ("Conv", "a", 200), ("Conv", "b", 60), ("Conv", "c", 5))
    coded = {"in": 40e3, "a": 20e3, "b": 19e3, "c": 1.0}
    assert Cut(("a",)) in useful_cuts(graph, costs(graph, coded))
    assert Cut(("a",)) not in useful_cuts(graph, costs(graph, coded | {"a": 90e6}))


def test_a_picture_codes_better_than_its_tensor() -> None:
    """A cut that beats the tensor of the input may lose to the picture; where the input stays it is wanted anyway."""
    graph = line(("", "in", 100), ("Conv", "a", 100), ("Conv", "b", 100))
    known = costs(graph, {"in": 500e3, "a": 50e3, "b": 1.0}, 0.01)
    free = choose_chain(graph, known).wanted[1]
    assert "latency, free" in free
    pictured = choose_chain(graph, replace(known, picture=(10e3,) * len(LEVELS))).wanted[1]
    assert "latency, free" not in pictured
    assert "latency, input kept" in pictured


def test_what_only_moves_the_input_is_the_input() -> None:
    """A cut after a transpose does not keep the input on the device."""
    graph = line(("", "in", 100), ("Transpose", "moved", 100), ("Conv", "a", 100), ("Conv", "b", 10))
    choice = choose_chain(graph, costs(graph, {"in": 50e3, "moved": 10e3, "a": 40e3, "b": 1.0}))
    assert choice.splits.sends_input.tolist()[:2] == [True, True]
    assert [cut.values for cut in choice.cuts] == [("a",)]


def test_a_cut_inside_a_fused_pattern_gives_way_to_one_as_small() -> None:
    """After the activation, not between it and the convolution."""
    graph = line(
        ("", "in", 1000), ("Conv", "conv", 400), ("BatchNormalization", "norm", 400), ("Relu", "relu", 400),
        ("Conv", "end", 10),
    )  # fmt: skip
    sizes = {"in": 90e3, "conv": 20e3, "norm": 20e3, "relu": 20e3, "end": 1.0}
    assert [cut.values for cut in useful_cuts(graph, costs(graph, sizes))] == [("relu",)]


def test_a_quantised_model_is_cut_at_the_quantised_values(read) -> None:
    """Four times smaller than the float on either side."""
    graph = read("quantized_qdq")
    for cut in useful_cuts(graph):
        assert all(graph.values[name].dtype == "uint8" for name in cut.values)


def test_a_cut_the_user_names_is_kept_whatever_it_sends() -> None:
    """Together with those that nest with it, and without them."""
    graph = line(("", "in", 100), ("Conv", "a", 200), ("Conv", "b", 50), ("Conv", "c", 5))
    sizes = {"in": 50e3, "a": 900e3, "b": 10e3, "c": 1.0}
    assert [cut.values for cut in useful_cuts(graph, costs(graph, sizes), also=[Cut(("a",))])] == [("a",), ("b",)]
    assert [cut.values for cut in useful_cuts(graph, limit=0, also=[Cut(("a",))])] == [("a",)]


def test_no_stage_is_without_work() -> None:
    """Operators that take no time make no stage, however much their values differ."""
    graph = line(("", "in", 100), ("Conv", "a", 100), ("Reshape", "b", 100), ("Conv", "c", 10))
    known = costs(graph, {"in": 90e3, "a": 30e3, "b": 20e3, "c": 1.0})
    cuts = useful_cuts(graph, replace(known, operator_s=(0.1, 0.0, 0.1)))
    assert len(cuts) == 1


@pytest.mark.parametrize("name", ["chain", "densenet", "inception"])
def test_estimates_are_enough_for_a_chain(read, name: str) -> None:
    """Without a run."""
    graph = read(name)
    choice = choose_chain(graph, estimated_costs(graph))
    assert choice.cuts == useful_cuts(graph)
    assert len(choice.regrets) >= 4
