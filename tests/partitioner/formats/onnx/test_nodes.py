"""Nodes of ONNX models: what they read, and which of them are known."""

import onnx
import pytest
from tests.support.architectures import ARCHITECTURES, one_operator

from partway.errors import InputError
from partway.partitioner.slicing import read_graph


@pytest.mark.parametrize(("name", "kind", "expected"), [
    ("conditional", "If", {"maxpool2_0", "relu6_0", "greater8_0"}),
    ("loop", "Loop", {"maxpool2_0", "relu4_0"}),
    ("scan", "Scan", {"tanh1_0", "reducemean2_0", "mul3_0"}),
])  # fmt: skip
def test_captured_values_are_inputs_of_the_operator_that_captures_them(name, kind, expected, save):
    """What a body reads from outside must be there, whichever side of a cut it was made on."""
    graph = read_graph(save(ARCHITECTURES[name]().model))
    operator = next(operator for operator in graph.operators if operator.kind == kind)
    assert set(operator.inputs) == expected
    assert operator.constants


def test_an_empty_optional_input_is_no_value(save):
    """The GRU has none, its initial state is left out."""
    graph = read_graph(save(ARCHITECTURES["recurrent"]().model))
    assert "" not in graph.activations
    assert all("" not in operator.inputs for operator in graph.operators)


def test_every_supported_opset_is_read(save):
    """From 7 to the newest that the onnx package knows."""
    for opset in range(7, onnx.defs.onnx_opset_version() + 1):
        model = one_operator(opset=opset)
        assert read_graph(save(model)).operators[0].kind == "Relu"


@pytest.mark.parametrize(("model", "message"), [
    (one_operator(opset=6), "opset 6, Partway reads 7 to"),
    (one_operator(opset=1000), "opset 1000.*newer onnx"),
    (one_operator("Frobnicate"), "operator Frobnicate, which opset 17 does not have"),
    (one_operator("Mine", domain="my.company"), "operator Mine of the domain 'my.company'"),
    (one_operator(shape=None), "`x` declares no shape; give it one"),
])  # fmt: skip
def test_a_model_that_cannot_be_split_says_why(model, message, save):
    """One sentence for each."""
    with pytest.raises(InputError, match=message) as caught:
        read_graph(save(model))
    assert "\n" not in str(caught.value)
