"""Which cuts a graph has, and which of them are useful."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from tests.support.graphs import line
from tests.support.random_graphs import graphs, is_prefix

from partway.errors import InputError
from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.crossing import (
    Cut,
    crossing,
    cut_from_names,
    input_cut,
    prefix_of,
)
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.graph.graph import Graph


@pytest.mark.slow
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


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(graphs)
def test_the_best_cut_for_any_rate_of_bytes_against_work_is_a_legal_cut(graph):
    """What the minimum cut finds over all bandwidths is among the frontiers."""
    work = [operator.work + 1.0 for operator in graph.operators]
    legal = {frontier.cut for frontier in legal_cuts(graph)} | {input_cut(graph), crossing(graph, 0), Cut(())}
    assert all(span.cut in legal for span in sweep(cut_problem(graph, work, [0.0] * len(work))))


def test_branches_are_finished_before_others_are_begun(read):
    """The narrow places of an Inception model are found, although its file lists the branches side by side."""
    single = {frontier.cut.values[0] for frontier in legal_cuts(read("inception")) if len(frontier.cut.values) == 1}
    assert {"concat13_0", "maxpool14_0", "concat28_0"} <= single


def test_a_model_of_parallel_branches_has_only_cuts_of_several_values(read):
    """From the input to the end two values cross everywhere."""
    assert {len(frontier.cut.values) for frontier in legal_cuts(read("parallel_from_input"))} == {2}


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
