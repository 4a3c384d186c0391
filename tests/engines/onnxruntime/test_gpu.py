"""ONNX Runtime bound to a device."""

from __future__ import annotations

import numpy as np
import pytest

from partway.errors import InputError

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from tests.support.torch_stages import ONNX, F, given, layer  # noqa: E402

helper, Kind = onnx.helper, onnx.TensorProto


def test_onnx_runtime_bound_to_a_device_gives_the_same() -> None:
    """The path of a GPU with the processor as the device: bound tensors, stages in a row, values left there."""
    from partway.engines.onnxruntime.gpu import OnnxDeviceEngine

    engine = OnnxDeviceEngine(1, "cpu")
    second = layer(fold="y", out="z")
    second.graph.input[0].name, second.graph.output[0].name = "y", "z"
    stages = [engine.load(model.SerializeToString()) for model in (layer(), second)]
    want = ONNX.load(second.SerializeToString()).run(ONNX.load(layer().SerializeToString()).run(given(3)))["z"]
    one = stages[0].followed_by(stages[1:], {"z"})
    assert np.array_equal(one.run(given(3))["z"], want)
    halfway = stages[0].advance(given(3))
    assert not isinstance(halfway["y"], np.ndarray)
    made = stages[1].advance(halfway)
    assert np.array_equal(stages[1].fetch(made, {})["z"], want)
    assert stages[0].join([halfway["y"], np.zeros((1, 6), F)]).shape == (4, 6)
    with pytest.raises(InputError, match="ONNX Runtime refused the tensors"):
        one.run({"x": np.zeros((2, 5), F)})


def test_onnx_runtime_without_a_gpus_provider_says_so() -> None:
    """One sentence that names what to install."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has its CUDA provider here")
    from partway.engines.registry import engine_for

    with pytest.raises(InputError, match="no CUDAExecutionProvider; pip install onnxruntime-gpu"):
        engine_for("onnx", 1, "cuda:0")
