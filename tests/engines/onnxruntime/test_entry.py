"""What is known of ONNX Runtime's engines without their package."""

import sys

import pytest

from partway.engines.onnxruntime.entry import ONNX, ONNX_INT8
from partway.engines.registry import engine_for
from partway.errors import MissingPackage


def test_int8_stages_are_files_of_their_own() -> None:
    """Only the engine for floats computes on a GPU."""
    assert (ONNX.files, ONNX_INT8.files) == ("onnx", "onnx-int8")
    assert (ONNX.devices, ONNX_INT8.devices) == (("cpu", "cuda"), ("cpu",))


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_without_onnxruntime_the_sentence_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is named."""
    monkeypatch.setitem(sys.modules, "partway.engines.onnxruntime.engine", None)
    with pytest.raises(MissingPackage, match=f"the engine {name} needs onnxruntime .*pip install onnxruntime"):
        engine_for(name)


def test_a_provider_without_a_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either missing part is the reason; with both the provider is named."""
    import onnxruntime

    assert ONNX.find_gpu is not None
    providers = ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr("partway.engines.device.no_driver", lambda: "no NVIDIA driver is installed")
    assert ONNX.find_gpu(0) == (None, "the onnxruntime installed here has no CUDA provider (onnxruntime-gpu has)")
    providers.append("CUDAExecutionProvider")
    assert ONNX.find_gpu(0) == (None, "no NVIDIA driver is installed")
    monkeypatch.setattr("partway.engines.device.no_driver", lambda: None)
    assert ONNX.find_gpu(3) == ("ONNX Runtime's CUDA provider on cuda:3", "")
