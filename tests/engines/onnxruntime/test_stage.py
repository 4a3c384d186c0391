"""A session's tensors and errors, as the rest of Partway sees them."""

from typing import Any

import numpy as np
import pytest

from partway.engines.interface import OutOfMemory
from partway.engines.onnxruntime.engine import OnnxEngine
from partway.engines.onnxruntime.stage import OnnxStage, brief
from partway.errors import InputError
from partway.proto.datatypes import NUMPY_NAME
from partway.proto.tensors import TensorSpec

onnx = pytest.importorskip("onnx")

from tests.support.onnx_stages import Kind, helper, identity, info, model  # noqa: E402


@pytest.mark.parametrize("dtype", NUMPY_NAME.values())
def test_every_dtype_of_the_protocol_can_cross(dtype: str) -> None:
    """Each is described by its numpy name and comes out as it went in."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    stage = OnnxEngine(1).load(identity(kind, [2]))
    assert stage.inputs == (TensorSpec("x", dtype, (2,)),)
    made = stage.run({"x": np.array([0, 1]).astype(dtype)})["y"]
    assert (made.dtype, made.tolist()) == (np.dtype(dtype), [0, 1])


def test_dimensions_with_names_or_without_are_dynamic() -> None:
    """Only a number fixes a dimension."""
    assert OnnxEngine(1).load(identity(Kind.FLOAT, ["batch", None, 3])).inputs[0].shape == (None, None, 3)


@pytest.mark.parametrize("kind", [Kind.STRING, Kind.BFLOAT16, Kind.COMPLEX64])
def test_values_that_are_no_plain_tensors_are_refused(kind: int) -> None:
    """Text and exotic numbers cannot cross between stages."""
    with pytest.raises(InputError):
        OnnxEngine(1).load(identity(kind, [1]))


def test_a_sequence_is_refused_by_name() -> None:
    """The value at fault is named."""
    sequence = helper.make_tensor_sequence_value_info("s", Kind.FLOAT, None)
    nodes = [helper.make_node("SequenceLength", ["s"], ["y"])]
    with pytest.raises(InputError, match="value s is a seq"):
        OnnxEngine(1).load(model(nodes, [sequence], [info("y", Kind.INT64, [])]))


@pytest.mark.parametrize(
    "given",
    [np.zeros((1, 3), np.float64), np.zeros((1, 4), np.float32), np.zeros(3, np.float32)],
    ids=["dtype", "size", "rank"],
)
def test_tensors_of_the_wrong_kind_are_refused(given: "np.ndarray[Any, Any]") -> None:
    """ONNX Runtime's complaint becomes ours."""
    stage = OnnxEngine(1).load(identity(Kind.FLOAT, [1, 3]))
    with pytest.raises(InputError, match="ONNX Runtime refused the tensors"):
        stage.run({"x": given})


def test_an_operator_that_fails_is_reported_without_source_paths(capfd: pytest.CaptureFixture[str]) -> None:
    """The sentence says what did not fit, not where in ONNX Runtime's source; nothing else is printed."""
    infos = [info(name, Kind.FLOAT, [None, None]) for name in "xwy"]
    stage = OnnxEngine(1).load(model([helper.make_node("Add", ["x", "w"], ["y"])], infos[:2], infos[2:]))
    with pytest.raises(InputError, match="broadcast") as caught:
        stage.run({"x": np.zeros((2, 3), np.float32), "w": np.zeros((3, 4), np.float32)})
    assert "/" not in str(caught.value) and ".h:" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert capfd.readouterr() == ("", "")


class Full:
    """A session that finds no memory."""

    def get_inputs(self) -> list[Any]:
        """None."""
        return []

    get_outputs = get_inputs

    def run(self, *given: Any) -> Any:
        """What ONNX Runtime says then."""
        raise RuntimeError("Failed to allocate memory for requested buffer of size 123")


def test_a_session_without_memory_is_told_from_tensors_that_do_not_fit() -> None:
    """A smaller batch may still run, so the error is one of its own."""
    with pytest.raises(OutOfMemory, match="no memory for the tensors"):
        OnnxStage(Full()).run({})


def test_errors_lose_the_place_in_foreign_source() -> None:
    """What is left is one line of at most 300 letters; an error without text goes by its type."""
    error = RuntimeError("/onnxruntime_src/core/x.cc:17 shape.Size() == 4 was false. Wrong\n size " + "x" * 400)
    assert brief(error).startswith("Wrong size") and len(brief(error)) == 300
    assert brief(RuntimeError("")) == "RuntimeError"
