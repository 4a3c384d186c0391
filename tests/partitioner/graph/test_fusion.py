"""Which neighbouring operators run as one, so that a cut between them costs speed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.graphs import line
from tests.support.random_graphs import graphs, is_prefix

from partway.partitioner.graph.fusion import breaks_fusion, settled
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec


def pair(first: str, second: str, constant: bool = False, sizes: tuple[int, int] = (40, 40)) -> Graph:
    """Two operators in a row, the second with or without a weight of its own."""
    steps = (("", "in", 100), (first, "a", sizes[0]), (second, "b", sizes[1]))
    return line(*steps, weights=("b",) if constant else ())


@pytest.mark.parametrize(
    ("first", "second", "constant", "fuses"),
    [
        ("Conv", "Relu", False, True),
        ("Conv", "BatchNormalization", True, True),
        ("Gemm", "HardSwish", False, True),
        ("MatMul", "Add", True, True),
        ("Add", "Relu", False, True),
        ("Conv", "QuantizeLinear", False, True),
        ("DequantizeLinear", "Conv", False, True),
        ("MatMul", "Add", False, False),
        ("Conv", "Conv", True, False),
        ("MaxPool", "Relu", False, False),
        ("Relu", "MaxPool", False, False),
        ("Conv", "DequantizeLinear", False, False),
    ],
)
def test_a_cut_breaks_what_an_engine_runs_as_one(first: str, second: str, constant: bool, fuses: bool) -> None:
    """A product with its normalisation, bias or activation, and a float operator with its quantise operators."""
    graph = pair(first, second, constant)
    assert breaks_fusion(graph, 0b01, ("a",)) is fuses


def test_the_input_of_a_model_breaks_nothing() -> None:
    """No operator makes it."""
    assert not breaks_fusion(pair("DequantizeLinear", "QuantizeLinear"), 0, ("in",))


def test_a_value_that_no_operator_reads_breaks_nothing() -> None:
    """An output of the model may cross a cut and be read by nobody."""
    assert not breaks_fusion(pair("Conv", "Relu"), 0b11, ("b",))


def test_a_cut_of_several_values_breaks_fusion_at_any_of_them() -> None:
    """One broken pair is enough."""
    operators = (
        Operator("conv", "Conv", ("in",), ("a",)),
        Operator("pool", "MaxPool", ("in",), ("b",)),
        Operator("relu", "Relu", ("a",), ("c",)),
        Operator("end", "Concat", ("b", "c"), ("out",)),
    )
    specs = {name: TensorSpec(name, "uint8", (8,)) for name in ("in", "a", "b", "c", "out")}
    graph = Graph(operators, specs, {}, ("in",), ("out",))
    assert breaks_fusion(graph, 0b0011, ("a", "b"))
    assert not breaks_fusion(graph, 0b0111, ("b", "c"))


def test_a_prefix_settles_after_the_operators_that_run_as_one_with_its_last() -> None:
    """From the convolution over its normalisation to its activation, and no further."""
    graph = line(
        ("", "in", 100),
        ("Conv", "a", 40),
        ("BatchNormalization", "b", 40),
        ("Relu", "c", 40),
        ("Conv", "d", 40),
    )
    assert settled(graph, 0b0001) == settled(graph, 0b0011) == 0b0111
    assert settled(graph, 0b0111) == 0b0111
    assert settled(graph, 0) == 0


def test_a_prefix_does_not_settle_where_more_bytes_would_cross() -> None:
    """An activation that leaves a larger value stays behind the cut."""
    assert settled(pair("Conv", "Relu", sizes=(40, 40)), 0b01) == 0b11
    assert settled(pair("Conv", "Relu", sizes=(40, 41)), 0b01) == 0b01


def test_a_prefix_does_not_settle_over_a_value_that_two_operators_read() -> None:
    """The convolution's value is needed elsewhere too, so the activation saves nothing."""
    operators = (
        Operator("conv", "Conv", ("in",), ("a",)),
        Operator("relu", "Relu", ("a",), ("b",)),
        Operator("end", "Add", ("a", "b"), ("out",)),
    )
    specs = {name: TensorSpec(name, "uint8", (8,)) for name in ("in", "a", "b", "out")}
    assert settled(Graph(operators, specs, {}, ("in",), ("out",)), 0b001) == 0b001


KINDS = st.lists(
    st.sampled_from(["Conv", "Relu", "Add", "BatchNormalization", "MaxPool", "QuantizeLinear"]), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(graphs, KINDS, st.integers(0, 2**14))
def test_a_settled_prefix_is_a_prefix_that_sends_no_more(graph: Graph, kinds: list[str], seed: int) -> None:
    """Whatever the graph: the result holds the prefix, is downward closed, settles once, and sends no more bytes."""
    names = dict(enumerate(kinds))
    operators = tuple(
        Operator(one.name, names.get(at, one.kind), one.inputs, one.outputs) for at, one in enumerate(graph.operators)
    )
    graph = Graph(operators, graph.values, {}, graph.inputs, graph.outputs)
    prefix = 0
    for at in range(len(operators)):
        if seed >> at & 1:
            prefix |= graph.ancestors[at]
    made = settled(graph, prefix)
    assert made & prefix == prefix
    assert is_prefix(graph, made)
    assert settled(graph, made) == made
    before, after = (sum(map(graph.size_bytes, graph.crossing(mask))) for mask in (prefix, made))
    assert after <= before


def test_what_is_quantised_soon_runs_on_integers() -> None:
    """A cut before a pool whose result is quantised makes the pool run on floats."""
    steps = (("", "in", 400), ("Relu", "a", 400), ("MaxPool", "b", 100), ("QuantizeLinear", "c", 25))
    graph = line(*steps)
    assert breaks_fusion(graph, 0b001, ("a",))
    assert not breaks_fusion(line(*steps[:3]), 0b001, ("a",))


def test_a_product_that_two_operators_read_is_kept_anyway() -> None:
    """x * sigmoid(x): no engine fuses the sigmoid into the convolution, so a cut between them costs nothing more."""
    specs = {name: TensorSpec(name, "float32", (1, 4)) for name in ("in", "a", "s", "out")}
    operators = (
        Operator("conv", "Conv", ("in",), ("a",)),
        Operator("sigmoid", "Sigmoid", ("a",), ("s",)),
        Operator("product", "Mul", ("a", "s"), ("out",)),
    )
    assert not breaks_fusion(Graph(operators, specs, {}, ("in",), ("out",)), 0b001, ("a",))
