"""The registry entry of the engine torch, which runs ONNX stages; torch is imported when an engine is made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from partway.engines.interface import Engine, EngineEntry
from partway.errors import MissingPackage


def _torch(threads: int, device: str, **options: Any) -> Engine:
    try:
        from partway.engines.torch.engine import TorchEngine
    except ImportError as error:
        raise MissingPackage(f"the engine torch needs torch ({error}); pip install 'partway[torch]'") from error
    return TorchEngine(threads, device, **options)


def _gpu(index: int) -> tuple[str | None, str]:
    """The GPU's name as torch has it, or None and why torch cannot use it."""
    if find_spec("torch") is None:
        return None, "torch is not installed"
    from partway.engines.torch.cuda import gpu_name, gpus

    count = gpus()
    if not count:
        return None, "torch finds no CUDA device"
    if index >= count:
        return None, f"torch finds {count} CUDA device{'s' if count > 1 else ''}, the last is cuda:{count - 1}"
    return gpu_name(index), ""


TORCH = EngineEntry(
    "onnx",
    _torch,
    devices=("cpu", "cuda"),
    options={"precision": "fp32", "tf32": False, "compiled": False, "graphs": True},
    find_gpu=_gpu,
    packages=("torch",),
)
