"""From an ONNX model to a torch module: sizes, functions, branches, and what cannot be built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partway.engines.interface import Unsupported
from partway.errors import InputError

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from tests.support.torch_stages import ONNX, TORCH, Capturing, both, given, graph  # noqa: E402

from partway.engines.torch.engine import TorchEngine  # noqa: E402

helper, Kind = onnx.helper, onnx.TensorProto


def test_sizes_that_the_model_computes_do_not_wait_for_the_device() -> None:
    """Shape, Gather, Concat, Reshape with a free batch, and positions counted from a size."""
    n = helper.make_node
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Gather", ["s", "zero"], ["batch"], axis=0),
        n("Mul", ["batch", "two"], ["twice"]),
        n("Concat", ["twice", "three"], ["to"], axis=0),
        n("Reshape", ["x", "to"], ["r"]),
        n("Squeeze", ["three"], ["limit"]),
        n("Range", ["start", "limit", "one"], ["at"]),
        n("Cast", ["at"], ["places"], to=1),
        n("Add", ["r", "places"], ["moved"]),
        n("Shape", ["x"], ["back"]),
        n("Reshape", ["moved", "back"], ["y"]),
    ]
    weights = {"zero": np.array([0]), "two": np.array([2]), "three": np.array([3])}
    weights |= {"start": np.array(0), "one": np.array(1)}
    model = graph(nodes, weights)
    both(model, given(4))
    device = Capturing()
    stage = TorchEngine(1, place=device).load(model.SerializeToString())
    want = ONNX.load(model.SerializeToString()).run(given(3))
    np.testing.assert_allclose(stage.run(given(3))["y"], want["y"], rtol=1e-5)
    assert device.batches == [4]


def test_a_models_own_functions_are_taken_apart() -> None:
    """Names inside do not meet those outside; attributes are handed on, or have defaults."""
    inner = [helper.make_node("LeakyRelu", ["a"], ["h"], name="leak"), helper.make_node("Add", ["h", "b"], ["c"])]
    inner[0].attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    opset = [helper.make_opsetid("", 18)]
    function = helper.make_function("mine", "Bent", ["a", "b"], ["c"], inner, opset, attributes=["slope"])
    nodes = [
        helper.make_node("Neg", ["x"], ["h"]),
        helper.make_node("Bent", ["h", "x"], ["again"], domain="mine", slope=0.5),
        helper.make_node("Bent", ["again", "h"], ["y"], domain="mine", slope=0.25),
    ]
    model = graph(nodes, {})
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    both(model, given(2))


@pytest.mark.parametrize("which", [True, False])
def test_a_branch_on_a_constant_is_taken(which: bool) -> None:
    """What is outside can be read inside."""
    bodies = {}
    for name, kind in (("then_branch", "Neg"), ("else_branch", "Exp")):
        out = helper.make_tensor_value_info(f"o_{kind}", 1, None)
        bodies[name] = helper.make_graph([helper.make_node(kind, ["x"], [f"o_{kind}"])], name, [], [out])
    both(graph([helper.make_node("If", ["c"], ["y"], **bodies)], {"c": np.array(which)}), given(2))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (helper.make_node("LSTM", ["x", "x", "x"], ["y"], name="memory"), r"LSTM \(memory\); use --engine onnx"),
        (helper.make_node("Relu", ["x"], ["y"], domain="com.acme"), r"com.acme.Relu \(y\)"),
        (helper.make_node("Relu", ["x"], ["y"], name="r", leak=1), r"Relu \(r\) with the attribute leak"),
        (helper.make_node("Pad", ["x", "x"], ["y"], name="p", mode="mirror"), r"Pad \(p\) with mode mirror"),
        (helper.make_node("BatchNormalization", ["x"] * 5, ["y", "a", "b"], training_mode=1), "with output 2"),
    ],
)
def test_what_it_does_not_know_is_named_when_it_loads(made: Any, words: str) -> None:
    """The operator, the node, and the engine that can."""
    with pytest.raises(Unsupported, match=words) as caught:
        TORCH.load(bytes(graph([made], {}).SerializeToString()))
    assert "\n" not in str(caught.value)


def test_values_that_nothing_makes_are_named() -> None:
    """A damaged stage is no traceback."""
    with pytest.raises(InputError, match=r"Relu \(y\) reads 'z', which nothing makes"):
        TORCH.load(bytes(graph([helper.make_node("Relu", ["z"], ["y"])], {}).SerializeToString()))
