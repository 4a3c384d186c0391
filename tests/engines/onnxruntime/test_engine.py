"""ONNX Runtime on the CPU: what it loads and what it refuses."""

from pathlib import Path

import pytest

from partway.engines.onnxruntime.engine import OnnxEngine
from partway.errors import InputError

onnx = pytest.importorskip("onnx")

from tests.support.onnx_stages import Kind, helper, info, model  # noqa: E402


def test_an_unknown_operator_is_named() -> None:
    """A stage of a newer opset or with operators of its own is refused in one sentence."""
    nodes = [helper.make_node("Frobnicate", ["x"], ["y"])]
    with pytest.raises(InputError, match=r"cannot load this stage.*Frobnicate"):
        OnnxEngine(1).load(model(nodes, [info("x", Kind.FLOAT, [1])], [info("y", Kind.FLOAT, [1])]))


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
