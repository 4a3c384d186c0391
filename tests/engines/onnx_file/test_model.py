"""A whole ONNX file as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.engines.onnx_file.model import AttributeReference, Body, read_model
from partway.engines.onnx_file.values import Constant
from partway.errors import InputError

onnx = pytest.importorskip("onnx")
helper = onnx.helper


def model(*nodes: Any, weights: tuple[Any, ...] = (), functions: tuple[Any, ...] = ()) -> bytes:
    """x -> y of float32."""
    x, y = (helper.make_tensor_value_info(name, 1, ["n", 3]) for name in "xy")
    graph = helper.make_graph(list(nodes), "g", [x], [y], list(weights))
    opsets = [helper.make_opsetid("ai.onnx", 18), helper.make_opsetid("mine", 2)]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=9)
    return bytes(made.SerializeToString())


ATTRIBUTES = {
    **{"whole": -7, "real": 0.5, "text": b"edge", "none": 0},
    **{"wholes": [1, -2], "reals": [0.25, 2.0], "texts": [b"a", b"b"]},
}


def test_operators_keep_their_places_and_attributes() -> None:
    """Empty names are inputs left out; attributes have their values, zero among them; domains have one spelling."""
    node = helper.make_node("Thing", ["x", "", "w"], ["", "y"], name="it", domain="ai.onnx", **ATTRIBUTES)
    weight = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    made = read_model(model(node, weights=(weight,)))
    (operator,) = made.body.operators
    assert (operator.name, operator.kind, operator.domain) == ("it", "Thing", "")
    assert (operator.inputs, operator.outputs) == (("x", "", "w"), ("", "y"))
    expected = {"whole": -7, "real": 0.5, "text": "edge", "wholes": (1, -2), "reals": (0.25, 2.0), "texts": ("a", "b")}
    assert dict(operator.attributes) == {**expected, "none": 0}
    assert operator.called == "Thing (it)"
    assert made.opsets == {"": 18, "mine": 2}
    assert [value.name for value in made.body.inputs] == ["x"]
    assert made.body.constants["w"].array.tolist() == [1, 1, 1]


def test_attributes_may_be_tensors_and_graphs() -> None:
    """A branch is a body of its own."""
    out = helper.make_tensor_value_info("b", 1, None)
    branch = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "then", [], [out])
    tensor = onnx.numpy_helper.from_array(np.array([4], np.int64))
    made = read_model(model(helper.make_node("If", ["x"], ["y"], then_branch=branch, value=tensor)))
    attributes = made.body.operators[0].attributes
    assert isinstance(attributes["then_branch"], Body) and isinstance(attributes["value"], Constant)
    assert attributes["then_branch"].operators[0].kind == "Neg"
    assert attributes["value"].array.tolist() == [4]


def test_functions_are_found_by_domain_and_name() -> None:
    """An attribute may take its value from the call, or have a default."""
    inner = helper.make_node("LeakyRelu", ["a"], ["b"])
    inner.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function(
        "mine", "Bent", ["a"], ["b"], [inner], opsets, attribute_protos=[helper.make_attribute("slope", 0.25)]
    )
    made = read_model(model(helper.make_node("Bent", ["x"], ["y"], domain="mine"), functions=(function,)))
    found = made.functions["mine", "Bent"]
    assert (found.inputs, found.outputs, dict(found.defaults)) == (("a",), ("b",), {"slope": 0.25})
    assert found.operators[0].attributes["alpha"] == AttributeReference("slope")


def test_bodies_within_bodies_have_an_end() -> None:
    """A file nested without end is refused before Python's stack is used up."""
    out = helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [], [out])
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=graph)], "g", [], [out])
    with pytest.raises(InputError, match="nested too deeply"):
        read_model(bytes(helper.make_model(graph).SerializeToString()))


GOOD = model(helper.make_node("Relu", ["x"], ["y"], name="r", alpha=0.5))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans())
@settings(deadline=None, max_examples=200)
def test_a_damaged_file_is_read_or_refused(at: int, byte: int, cut: bool) -> None:
    """Nothing but InputError comes of any change."""
    data = GOOD[:at] if cut else GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        made = read_model(data)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(made.body, Body)
