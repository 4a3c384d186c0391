"""Stages on LiteRT, beyond what every engine promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.proto.tensors import TensorSpec

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as tfl
from tests.support.tflite_models import Model, fully_connected, identity

from partway.engines.litert.engine import LitertEngine

pytest.importorskip("ai_edge_litert")


def same(dtype: str, shape: tuple[int | None, ...]) -> bytes:
    """A stage that hands x on as y."""
    return identity([(TensorSpec("x", dtype, shape), TensorSpec("y", dtype, shape))])


def fixed_reshape() -> bytes:
    """[batch, 4] to [batch, 2, 2], with the batch of one written into the reshape."""
    model = Model()
    x, y = model.tensor("x", "float32", (None, 4)), model.tensor("y", "float32", (None, 2, 2))
    model.operator("RESHAPE", [x, model.tensor("shape", "int32", (3,), [1, 2, 2])], [y], tfl.ReshapeOptionsT())
    return model.pack([x], [y])


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_every_dtype_that_the_interpreter_copies_can_cross(dtype: str) -> None:
    """Each is described by its numpy name and comes out as it went in."""
    stage = LitertEngine(1).load(same(dtype, (2, 2)))
    assert stage.inputs == (TensorSpec("x", dtype, (2, 2)),)
    given = np.array([[0, 1], [1, 0]]).astype(dtype)
    made = stage.run({"x": given})["y"]
    assert (made.dtype, made.tolist()) == (given.dtype, given.tolist())


@pytest.mark.parametrize(
    "given",
    [np.zeros((1, 3), np.float64), np.zeros((1, 4), np.float32), np.zeros(3, np.float32), np.zeros((0, 3), np.float32)],
    ids=["dtype", "size", "rank", "empty"],
)
@pytest.mark.parametrize("batch", [1, None], ids=["fixed", "free"])
def test_tensors_of_the_wrong_kind_are_refused(given: Any, batch: int | None) -> None:
    """One sentence that names the value; the stage goes on working."""
    stage = LitertEngine(1).load(same("float32", (batch, 3)))
    with pytest.raises(InputError, match=r"LiteRT refused the tensors: x is"):
        stage.run({"x": given})
    right = np.ones((1, 3), np.float32)
    assert np.array_equal(stage.run({"x": right})["y"], right)


def test_big_endian_arrays_are_read_by_value() -> None:
    """The interpreter does not look at an array's byte order; the engine does."""
    stage = LitertEngine(1).load(same("float32", (1, 3)))
    assert stage.run({"x": np.array([[1, 2, 3]], ">f4")})["y"].tolist() == [[1, 2, 3]]


def test_a_stage_with_its_batch_written_into_it_runs_frame_by_frame() -> None:
    """What cannot be resized still answers a batch, and single frames before and after."""
    stage = LitertEngine(1).load(fixed_reshape())
    for batch in (1, 3, 1, 5, 2):
        x = np.arange(4 * batch, dtype=np.float32).reshape(batch, 4)
        assert np.array_equal(stage.run({"x": x})["y"], x.reshape(batch, 2, 2))


def test_state_does_not_leak_from_frame_to_frame() -> None:
    """A variable tensor begins at zero in every run: equal frames have equal answers."""
    model = Model()
    x, y = model.tensor("x", "float32", (1, 2)), model.tensor("y", "float32", (1, 2))
    weights = model.tensor("w", "float32", (2, 2), np.eye(2))
    again = model.tensor("r", "float32", (2, 2), np.eye(2))
    bias, state = model.tensor("b", "float32", (2,), [0, 0]), model.tensor("h", "float32", (1, 2), variable=True)
    options = tfl.RNNOptionsT()
    model.operator("RNN", [x, weights, again, bias, state], [y], options)
    stage = LitertEngine(1).load(model.pack([x], [y]))
    once = np.array([[1, 2]], np.float32)
    assert [stage.run({"x": once})["y"].tolist() for _ in range(3)] == [[[1, 2]]] * 3


def test_values_that_are_no_plain_tensors_are_refused() -> None:
    """Text cannot cross between stages."""
    model = Model()
    x, y = model.tensor("x", "string", (1,)), model.tensor("y", "string", (1, 1))
    model.operator("RESHAPE", [x, model.tensor("shape", "int32", (2,), [1, 1])], [y], tfl.ReshapeOptionsT())
    with pytest.raises(InputError, match="value x is a tensor of"):
        LitertEngine(1).load(model.pack([x], [y]))


def test_two_outputs_of_one_name_are_refused() -> None:
    """Values are handed on by name."""
    pairs = [(TensorSpec(a, "float32", (1,)), TensorSpec("y", "float32", (1,))) for a in "ab"]
    with pytest.raises(InputError, match="have one name"):
        LitertEngine(1).load(identity(pairs))


def test_an_operator_that_nobody_has_is_named() -> None:
    """A custom operator is refused in one sentence."""
    model = Model()
    x, y = model.tensor("x", "float32", (1,)), model.tensor("y", "float32", (1,))
    model.operator("CUSTOM", [x], [y], custom="Frobnicate")
    with pytest.raises(InputError, match=r"cannot load this stage.*Frobnicate"):
        LitertEngine(1).load(model.pack([x], [y]))


def test_floats_run_on_xnnpack() -> None:
    """The delegate takes the operators over."""
    stage = LitertEngine(1).load(fully_connected())
    kinds = [entry["op_name"] for entry in stage._interpreter._get_ops_details()]
    assert "DELEGATE" in kinds
