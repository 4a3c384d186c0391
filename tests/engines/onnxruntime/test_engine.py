"""Stages on ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.engines.onnxruntime.engine import OnnxEngine
from partway.errors import InputError
from partway.proto.datatypes import NUMPY_NAME
from partway.proto.tensors import TensorSpec

onnx = pytest.importorskip("onnx")
helper, Kind = onnx.helper, onnx.TensorProto


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: tuple[Any, ...] = ()) -> bytes:
    """A stage's bytes."""
    graph = helper.make_graph(nodes, "stage", inputs, outputs, list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def info(name: str, kind: int, shape: list[Any]) -> Any:
    """A value's description."""
    return helper.make_tensor_value_info(name, kind, shape)


def identity(kind: int, shape: list[Any]) -> bytes:
    """A stage that hands its input on."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [info("x", kind, shape)], [info("y", kind, shape)])


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


def test_an_unknown_operator_is_named() -> None:
    """A stage of a newer opset or with operators of its own is refused in one sentence."""
    nodes = [helper.make_node("Frobnicate", ["x"], ["y"])]
    with pytest.raises(InputError, match=r"cannot load this stage.*Frobnicate"):
        OnnxEngine(1).load(model(nodes, [info("x", Kind.FLOAT, [1])], [info("y", Kind.FLOAT, [1])]))


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


@pytest.mark.parametrize("place", ["secret", "./secret", "../secret", "/etc/hostname", "/proc/self/environ"])
def test_a_stage_cannot_read_the_devices_files(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that claim to lie in another file are refused: a stage may have come from a cloud."""
    (tmp_path / "work").mkdir()
    for folder in (tmp_path, tmp_path / "work"):
        (folder / "secret").write_bytes(b"0123456789")
    monkeypatch.chdir(tmp_path / "work")
    weights = onnx.TensorProto(name="w", data_type=Kind.UINT8, dims=[10], data_location=Kind.EXTERNAL)
    for key, value in (("location", place), ("length", "10")):
        weights.external_data.add(key=key, value=value)
    stage = model([helper.make_node("Identity", ["w"], ["y"])], [], [info("y", Kind.UINT8, [10])], (weights,))
    with pytest.raises(InputError, match="xternal data"):
        OnnxEngine(1).load(stage)


def test_the_number_of_threads_is_the_machines_by_default() -> None:
    """Zero means as many as there are cores."""
    assert OnnxEngine().threads >= 1
    assert OnnxEngine(3).threads == 3
