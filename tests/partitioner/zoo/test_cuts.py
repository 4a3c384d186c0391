"""The cuts of models by name: the useful ones, and some more where those are few."""

from itertools import pairwise

from hypothesis import given, settings
from tests.support.graphs import chain, line
from tests.support.random_graphs import graphs

from partway.partitioner.cuts.candidates import legal_cuts, useful_cuts
from partway.partitioner.cuts.crossing import prefix_of
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.zoo.cuts import LEAST, MOST, cuts_of


def worked(graph: Graph, *work: int) -> Graph:
    """The same graph whose operators do so much."""
    operators = tuple(
        Operator(one.name, one.kind, one.inputs, one.outputs, one.constants, amount)
        for one, amount in zip(graph.operators, work, strict=True)
    )
    return Graph(operators, graph.values, graph.constants, graph.inputs, graph.outputs)


def test_a_model_with_few_useful_cuts_gets_some_to_choose_from() -> None:
    """Values that are no larger than the input, spread over the work, though none of them saves a byte."""
    graph = worked(chain([100] * 9), *[10] * 8)
    assert len(useful_cuts(graph)) == 0
    cuts = cuts_of(graph)
    assert len(cuts) == LEAST
    done = [graph.work(prefix_of(graph, cut)) / 80 for cut in cuts]
    assert all(after - before >= 0.2 for before, after in pairwise([0.0, *done, 1.0]))


def test_all_useful_cuts_are_among_them() -> None:
    """What a user's own model would get comes first."""
    graph = worked(chain([1000, 900, 100, 90, 10, 5]), 10, 10, 10, 10, 10)
    useful = useful_cuts(graph, limit=MOST)
    assert useful
    assert set(useful) <= set(cuts_of(graph))


def test_a_cut_that_sends_far_more_than_the_input_is_only_the_last_resort() -> None:
    """A wide value is chosen when there is no narrow one."""
    steps = (("", "in", 100), ("A", "a", 5000), ("A", "b", 100), ("A", "c", 100), ("A", "d", 100), ("A", "e", 1))
    names = [str(cut) for cut in cuts_of(worked(line(*steps), 10, 10, 10, 10, 10))]
    assert "a" not in names
    wide = (("", "in", 100), ("A", "a", 5000), ("A", "b", 4000), ("A", "c", 1))
    assert [str(cut) for cut in cuts_of(worked(line(*wide), 10, 10, 10))] == ["a", "b"]


def test_cuts_with_hardly_any_work_between_them_are_one() -> None:
    """A split after one part in a thousand is no other split."""
    graph = worked(chain([100, 100, 100, 100]), 1, 998, 1)
    assert len(cuts_of(graph)) == 0


def test_a_model_of_one_operator_has_none() -> None:
    """There is nothing to cut."""
    assert cuts_of(chain([4, 2])) == ()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(graphs)
def test_the_cuts_are_legal_and_nested(graph: Graph) -> None:
    """From input to output, no more than so many, of those that separate the model."""
    cuts = cuts_of(graph)
    legal = {frontier.cut: frontier.prefix for frontier in legal_cuts(graph)}
    assert set(cuts) <= set(legal)
    assert all(legal[before] & ~legal[after] == 0 for before, after in pairwise(cuts))
    assert len(set(cuts)) == len(cuts) <= MOST
