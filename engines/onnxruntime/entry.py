"""The registry entries of the engines on ONNX Runtime, which is imported when an engine is made."""

from __future__ import annotations

from typing import Any

from partway.engines.interface import Engine, EngineEntry
from partway.errors import MissingPackage


def _onnx(threads: int, device: str, **options: Any) -> Engine:
    if device != "cpu":
        from partway.engines.onnxruntime.gpu import OnnxDeviceEngine

        return OnnxDeviceEngine(threads, device, **options)
    try:
        from partway.engines.onnxruntime.engine import OnnxEngine
    except ImportError as error:
        raise MissingPackage(f"the engine onnx needs onnxruntime ({error}); pip install onnxruntime") from error
    return OnnxEngine(threads)


def _onnx_int8(threads: int, device: str) -> Engine:
    try:
        from partway.engines.onnxruntime.engine import QuantisedOnnxEngine
    except ImportError as error:
        raise MissingPackage(f"the engine onnx-int8 needs onnxruntime ({error}); pip install onnxruntime") from error
    return QuantisedOnnxEngine(threads)


def _gpu(index: int) -> tuple[str | None, str]:
    """CUDA's execution provider, where the installed onnxruntime has one."""
    import onnxruntime

    from partway.engines.device import no_driver

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return None, "the onnxruntime installed here has no CUDA provider (onnxruntime-gpu has)"
    missing = no_driver()
    return (f"ONNX Runtime's CUDA provider on cuda:{index}", "") if missing is None else (None, missing)


PACKAGES = ("onnxruntime", "onnxruntime-gpu")
ONNX = EngineEntry(
    "onnx", _onnx, devices=("cpu", "cuda"), options={"tensorrt": False}, find_gpu=_gpu, packages=PACKAGES
)
ONNX_INT8 = EngineEntry("onnx-int8", _onnx_int8, packages=PACKAGES, fallback="onnx")
