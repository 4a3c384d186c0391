"""Which cuts a graph has, which are of use, and how people name them."""

from itertools import pairwise

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.architectures import ARCHITECTURES
from tests.support.best_prefix import is_prefix
from tests.support.random_graphs import every_prefix, graphs

from partway.errors import InputError
from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.candidates import legal_cuts, useful_cuts
from partway.partitioner.cuts.crossing import crossing, cut_from_names, input_cut, output_cut, prefix_of, wire_bytes
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.cuts.selection import greedy_selection
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.graph.orders import orders
from partway.partitioner.plan.cut import Cut
from partway.partitioner.slicing import read_graph
from partway.proto.tensors import TensorSpec


def line(*steps: tuple[str, str, int], weights: tuple[str, ...] = ()) -> Graph:
    """Operators in a row: (kind, value made, its bytes); the first entry is the input."""
    names = [name for _, name, _ in steps]
    operators = tuple(
        Operator(f"op_{made}", kind, (read,), (made,), ("w",) if made in weights else (), 1000)
        for read, (kind, made, _) in zip(names, steps[1:], strict=False)
    )
    specs = {name: TensorSpec(name, "uint8", (size,)) for _, name, size in steps}
    return Graph(operators, specs, {"w": 100}, (names[0],), (names[-1],))


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Read one of the small architectures by name."""

    def reader(name: str) -> Graph:
        architecture = ARCHITECTURES[name]()
        path = tmp_path_factory.mktemp(name) / "model.onnx"
        onnx.save(architecture.model, path)
        return read_graph(path, architecture.sizes)

    return reader


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


@settings(max_examples=500, deadline=None, derandomize=True)
@given(graphs)
def test_a_cut_means_the_smallest_prefix_with_that_crossing(graph):
    """Of all operator sets with the same crossing, as enumerated, the one its names stand for is the smallest."""
    for mask in map(int, every_prefix(graph)[:200]):
        cut = crossing(graph, mask)
        if cut.values:
            assert prefix_of(graph, cut) & ~mask == 0


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


def test_input_and_output_are_cuts_like_any_other(read):
    """The two ends of the chain."""
    graph = read("two_inputs")
    assert input_cut(graph).values == ("left", "right", "scale")
    assert output_cut(graph).values == ("y",)


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


def test_neighbours_that_hardly_differ_make_one_stage():
    """Three cuts of nearly the same bytes and work are not three stages."""
    assert greedy_selection([1000, 100, 99.9, 99.8, 10], [[0, 0.5, 0.501, 0.502, 0.9]], limit=5) == (1, 4)


def test_the_few_chosen_spare_most():
    """With room for one, the cut that saves most bytes over most of the model."""
    assert greedy_selection([1000, 900, 100, 90], [[0, 0.1, 0.3, 0.9]], limit=1) == (2,)


def test_a_name_that_does_not_exist_gets_suggestions(read):
    """The nearest names, by spelling."""
    with pytest.raises(InputError, match=r"no value `block.1/relu`.*`/block.1/relu:0`"):
        cut_from_names(read("residual"), ["block.1/relu"])


def test_a_cut_that_does_not_separate_says_what_else_must_cross(read):
    """A skip connection over the cut is named."""
    with pytest.raises(InputError, match=r"`maxpool2_0` must cross too"):
        cut_from_names(read("residual"), ["relu4_0"])


def test_operators_and_constants_are_told_apart_from_values(read):
    """Naming either says what it is."""
    graph = read("chain")
    with pytest.raises(InputError, match="`n0` is an operator; name the value it makes: conv0_0"):
        cut_from_names(graph, ["n0"])
    with pytest.raises(InputError, match="constants never cross"):
        cut_from_names(graph, ["w0"])
    with pytest.raises(InputError, match="nothing of the model comes after logits"):
        cut_from_names(graph, ["logits"])


def test_a_named_cut_is_put_in_wire_order_without_what_nothing_reads(read):
    """Names come in any order; one that is used up before the cut is left out."""
    graph = read("two_inputs")
    assert cut_from_names(graph, ["concat14_0", "scale"]).values == ("scale", "concat14_0")
    assert cut_from_names(graph, ["left", "concat14_0", "scale"]).values == ("scale", "concat14_0")
