"""From nested cuts to stages: what each reads and makes."""

import pytest
from hypothesis import given, settings
from tests.support.graphs import chain
from tests.support.random_graphs import graphs

from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.cuts.stages import nested_prefixes, stage_values, stages_between
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec


def test_a_stage_that_reads_an_undeclared_value_is_refused():
    """The slice is checked before it is written, and the value is named."""
    operators = (Operator("a", "Relu", ("x",), ("a",)), Operator("b", "Add", ("a", "x"), ("b",)))
    graph = Graph(operators, {}, {}, ("x",), ("b",))
    assert stage_values(graph, 0b10, ("x", "a"), ("b",)) == (("x", "a"), ("b",))
    with pytest.raises(InputError, match="reads `x`, which the cut before it does not hold"):
        stage_values(graph, 0b10, ("a",), ("b",))


def test_each_cut_has_the_operators_before_it() -> None:
    """From input to output, each prefix within the next."""
    graph = chain([4, 3, 2, 1])
    assert nested_prefixes(graph, [Cut(("v1",)), Cut(("v2",))]) == [0b001, 0b011]
    assert nested_prefixes(graph, []) == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["v0"], "one side of the cut v0; leave it out"),
        (["v2", "v1"], "the cut v2 does not come before the next one"),
        (["v1", "v1"], "the cut v1 does not come before the next one"),
        (["v9"], "no value `v9`"),
    ],
)
def test_cuts_that_leave_a_stage_empty_or_go_backwards_are_refused(names: list[str], says: str) -> None:
    """One sentence names the cut at fault."""
    with pytest.raises(InputError, match=says) as caught:
        nested_prefixes(chain([4, 3, 2, 1]), [Cut((name,)) for name in names])
    assert "\n" not in str(caught.value)


def skipping() -> Graph:
    """x -> a -> b -> y, where y also reads x, and a is an answer as well."""
    operators = (
        Operator("a", "Any", ("x",), ("a",)),
        Operator("b", "Any", ("a",), ("b",)),
        Operator("y", "Any", ("b", "x"), ("y",)),
    )
    specs = {name: TensorSpec(name, "uint8", (8,)) for name in ("x", "a", "b", "y")}
    return Graph(operators, specs, {}, ("x",), ("a", "y"))


def test_stages_read_and_make_only_what_is_theirs() -> None:
    """A value that passes through is in no stage between; an early answer is made where it arises."""
    cuts = [Cut(("x", "a")), Cut(("x", "b"))]
    assert list(stages_between(skipping(), cuts)) == [
        (0b001, ("x",), ("a",)),
        (0b010, ("a",), ("b",)),
        (0b100, ("x", "b"), ("y",)),
    ]


def test_without_cuts_there_is_one_stage() -> None:
    """It reads the model's inputs and makes its outputs."""
    assert list(stages_between(skipping(), [])) == [(0b111, ("x",), ("a", "y"))]


def test_an_output_that_nothing_computes_comes_with_the_last_stage() -> None:
    """A constant among the outputs belongs to no operator."""
    graph = skipping()
    with_constant = Graph(graph.operators, graph.values, {"fixed": 4}, graph.inputs, (*graph.outputs, "fixed"))
    *_, (_, _, outputs) = stages_between(with_constant, [Cut(("x", "a"))])
    assert outputs == ("y", "fixed")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(graphs)
def test_stages_at_all_legal_cuts_share_the_model_out(graph: Graph) -> None:
    """Every operator is in exactly one stage, and every value is made before it is read."""
    cuts = [frontier.cut for frontier in legal_cuts(graph)]
    made = set(graph.inputs)
    everything = 0
    for operators, inputs, outputs in stages_between(graph, cuts):
        assert operators and everything & operators == 0
        everything |= operators
        assert set(inputs) <= made
        made |= set(outputs)
    assert everything == graph.everything
    assert set(graph.outputs) <= made
