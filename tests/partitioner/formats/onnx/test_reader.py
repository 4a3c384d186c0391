"""ONNX files read into graphs, whatever their exporter did."""

import pytest
from tests.support.architectures import ARCHITECTURES, Net, one_operator

from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.slicing import read_graph


def test_what_is_computed_from_constants_is_a_constant(save):
    """A transposed weight is no operator; the operator that uses it depends on the weight."""
    graph = read_graph(save(ARCHITECTURES["constant_branches"]().model))
    assert [operator.kind for operator in graph.operators] == [
        "Conv",
        "Relu",
        "MaxPool",
        "Flatten",
        "MatMul",
        "Relu",
        "Gemm",
    ]
    assert {"w0", "w1"} <= set(graph.operators[4].constants)
    assert graph.outputs == ("y", "fixed")


def test_a_shape_that_depends_on_the_data_is_never_sent(save):
    """NonZero's output is as long as its input has non-zeros; cuts avoid it."""
    net = Net()
    where = net.op("NonZero", net.op("Relu", "x"))
    net.op("Cast", net.op("Transpose", where), to=1, out="y")
    graph = read_graph(save(net.model([("x", ["N", 4])], [("y", ["count", 2])])))
    assert "nonzero1_0" in graph.local
    assert graph.values["y"].shape == (None, None)
    assert [frontier.cut.values for frontier in legal_cuts(graph)] == [("relu0_0",)]


def test_nodes_out_of_order_are_put_in_order(save):
    """Some tools append nodes at the end; a circle is an error."""
    model = ARCHITECTURES["chain"]().model
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert read_graph(save(model)).operators[-1].outputs == ("logits",)
    model.graph.node[-1].input[0] = "logits"
    with pytest.raises(InputError, match="in a circle"):
        read_graph(save(model))


def test_names_that_are_missing_or_given_twice_become_unique(save):
    """Operators can be told apart whatever the exporter did."""
    model = ARCHITECTURES["chain"]().model
    for at, node in enumerate(model.graph.node):
        node.name = "same" if at % 2 else ""
    names = [operator.name for operator in read_graph(save(model)).operators]
    assert len(set(names)) == len(names)


def test_a_value_that_nothing_makes_is_named(save):
    """A broken graph is refused before anything runs."""
    model = one_operator()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(InputError, match="reads `nowhere`, which nothing"):
        read_graph(save(model))
