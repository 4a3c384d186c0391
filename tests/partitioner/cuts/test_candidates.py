"""Which cuts a graph has, and which of them are useful."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.graphs import line
from tests.support.random_graphs import graphs, is_prefix

from partway.errors import InputError
from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.candidates import legal_cuts, useful_cuts
from partway.partitioner.cuts.crossing import (
    Cut,
    crossing,
    cut_from_names,
    input_cut,
    prefix_of,
    wire_bytes,
)
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.graph.graph import Graph


@settings(max_examples=500, deadline=None, derandomize=True)
@given(graphs)
def test_legal_cuts_are_nested_and_each_names_its_own_prefix(graph):
    """Every one separates the model, means the same operators by its names alone, and lies within the next."""
    legal = legal_cuts(graph)
    assert all(before.prefix & ~after.prefix == 0 for before, after in pairwise(legal))
    for frontier in legal:
        assert is_prefix(graph, frontier.prefix)
        assert crossing(graph, frontier.prefix) == frontier.cut
        assert prefix_of(graph, frontier.cut) == frontier.prefix
        assert frontier.cut.values not in ((), graph.inputs)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(graphs)
def test_the_best_cut_for_any_rate_of_bytes_against_work_is_a_legal_cut(graph):
    """What the minimum cut finds over all bandwidths is among the frontiers."""
    work = [operator.work + 1.0 for operator in graph.operators]
    legal = {frontier.cut for frontier in legal_cuts(graph)} | {input_cut(graph), crossing(graph, 0), Cut(())}
    assert all(span.cut in legal for span in sweep(cut_problem(graph, work, [0.0] * len(work))))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(graphs, st.integers(0, 6))
def test_useful_cuts_send_ever_fewer_bytes(graph, limit):
    """Each less than the one before, the first less than the model's input, and never more cuts than asked for."""
    cuts = useful_cuts(graph, limit=limit)
    sizes = [wire_bytes(graph, cut) for cut in (input_cut(graph), *cuts)]
    assert all(later < earlier for earlier, later in pairwise(sizes))
    assert len(cuts) <= limit


def test_branches_are_finished_before_others_are_begun(read):
    """The narrow places of an Inception model are found, although its file lists the branches side by side."""
    single = {frontier.cut.values[0] for frontier in legal_cuts(read("inception")) if len(frontier.cut.values) == 1}
    assert {"concat13_0", "maxpool14_0", "concat28_0"} <= single


def test_a_model_of_parallel_branches_has_only_cuts_of_several_values(read):
    """From the input to the end two values cross everywhere."""
    assert {len(frontier.cut.values) for frontier in legal_cuts(read("parallel_from_input"))} == {2}


def test_a_quantised_model_is_cut_at_the_quantised_values(read):
    """Four times smaller than the float on either side."""
    graph = read("quantized_qdq")
    for cut in useful_cuts(graph):
        assert all(graph.values[name].dtype == "uint8" for name in cut.values)


def test_an_early_output_does_not_cross(read):
    """A model output made before the cut stays where it is, and its branch does not hide the cuts after it."""
    cuts = [frontier.cut for frontier in legal_cuts(read("detector"))]
    assert all("early" not in cut.values for cut in cuts)
    assert {Cut(("maxpool2_0",)), Cut(("concat18_0",))} <= set(cuts)
    assert len(cuts) > 10


def test_a_value_that_cannot_be_sent_is_in_no_cut():
    """Nor can the user name it."""
    graph = line(("", "in", 100), ("A", "a", 10), ("B", "b", 20), ("C", "c", 5))
    local = Graph(graph.operators, graph.values, graph.constants, graph.inputs, graph.outputs, {}, frozenset({"a"}))
    assert [frontier.cut.values for frontier in legal_cuts(local)] == [("b",)]
    with pytest.raises(InputError, match="`a` cannot be sent"):
        cut_from_names(local, ["a"])


def test_a_cut_inside_a_fused_pattern_gives_way_to_one_as_small():
    """After the activation, not between it and the convolution."""
    graph = line(
        ("", "in", 1000),
        ("Conv", "conv", 400),
        ("BatchNormalization", "norm", 400),
        ("Relu", "relu", 400),
        ("Conv", "end", 10),
    )
    assert [cut.values for cut in useful_cuts(graph)] == [("relu",)]


def test_a_bias_stays_with_its_matrix_and_a_residual_sum_need_not():
    """An Add of a constant is part of the product before it."""
    steps = (("", "in", 1000), ("MatMul", "product", 400), ("Add", "biased", 400), ("MatMul", "end", 10))
    assert [cut.values for cut in useful_cuts(line(*steps, weights=("biased",)))] == [("biased",)]
    assert [cut.values for cut in useful_cuts(line(*steps))] == [("product",)]


def test_of_cuts_as_small_the_one_of_fewest_values_is_taken(read):
    """The concatenation and not its parts."""
    for cut in useful_cuts(
        read("densenet"), bytes_of=lambda spec: spec.size_bytes() / (1 if spec.name == "image" else 16)
    ):
        assert len(cut.values) == 1


def test_coded_bytes_decide_when_they_are_given():
    """A value that codes well becomes worth sending, an input that codes well takes away what it beats."""
    graph = line(("", "in", 100), ("A", "a", 200), ("B", "b", 60), ("C", "c", 5))
    assert [cut.values for cut in useful_cuts(graph)] == [("b",)]
    eighth = {"in": 100.0, "a": 25.0, "b": 12.0, "c": 1.0}
    assert [cut.values for cut in useful_cuts(graph, lambda spec: eighth[spec.name])] == [("a",), ("b",)]
    jpeg = eighth | {"in": 21.0}
    assert [cut.values for cut in useful_cuts(graph, lambda spec: jpeg[spec.name])] == [("b",)]


def test_a_cut_the_user_names_is_kept_whatever_it_sends():
    """Together with the useful ones that nest with it."""
    graph = line(("", "in", 100), ("A", "a", 200), ("B", "b", 50), ("C", "c", 5))
    assert [cut.values for cut in useful_cuts(graph, also=[Cut(("a",))])] == [("a",), ("b",)]
    assert [cut.values for cut in useful_cuts(graph, limit=0, also=[Cut(("a",))])] == [("a",)]
