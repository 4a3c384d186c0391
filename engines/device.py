"""Which device an engine computes on: what was asked for, what there is, and why.

Whether there is an NVIDIA GPU is asked of the driver first, which takes milliseconds; torch is imported only where the
driver has found one, or where CUDA is asked for by name.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from importlib.util import find_spec

from partway.errors import InputError, MissingPackage

ASKED = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?", re.ASCII)
EXTRA = "pip install 'partway[torch]'"


@dataclass(frozen=True, slots=True)
class Chosen:
    """``device`` is ``cpu`` or ``cuda:i``; ``engine`` is what runs ONNX models there when nobody says; ``why`` why."""

    device: str
    engine: str
    why: str

    def __str__(self) -> str:
        return f"{self.device}: {self.why}"


def choose_device(asked: str = "auto", engine: str = "auto") -> Chosen:
    """The device for ``--device auto|cpu|cuda[:i]`` and an engine (``auto``: whichever can use it).

    Raises InputError when CUDA is asked for and cannot be had, MissingPackage when no engine for it is installed.
    """
    if ASKED.fullmatch(asked) is None:
        raise InputError(f"unknown device {asked!r}; choose auto, cpu, cuda or cuda:i with --device")
    if asked == "cpu":
        return Chosen("cpu", "auto", "as asked")
    if engine not in ("auto", "onnx", "torch"):
        if asked == "auto":
            return Chosen("cpu", "auto", f"the engine {engine} computes there")
        raise InputError(f"the engine {engine} does not run on CUDA; choose --engine torch or onnx, or --device cpu")
    if asked == "auto":
        none = no_driver()
        if none is not None:
            return Chosen("cpu", "auto", none)
    index = int(asked.partition(":")[2] or 0)
    runner, why = _by_onnx(asked) if engine == "onnx" else _by_torch(index)
    if runner is None and engine == "auto":
        runner, other = _by_onnx(asked)
        why = why if runner is None else other
    if runner is not None:
        return Chosen(f"cuda:{index}", runner, why)
    if asked == "auto":
        return Chosen("cpu", "auto", why)
    kind = MissingPackage if "not installed" in why else InputError
    raise kind(
        f"--device {asked} cannot be had: {why}; choose --device cpu"
        + (f" or {EXTRA}" if kind is MissingPackage else "")
    )


def no_driver() -> str | None:
    """Why the NVIDIA driver finds no GPU; None when it finds one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed"
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the NVIDIA driver finds no GPU"
    return None


def _by_torch(index: int) -> tuple[str | None, str]:
    """The engine torch and the GPU's name, or None and why not."""
    if find_spec("torch") is None:
        return None, "torch is not installed"
    from partway.engines.torch.torch_gpu import gpu_name, gpus

    count = gpus()
    if not count:
        return None, "torch finds no CUDA device"
    if index >= count:
        return None, f"torch finds {count} CUDA device{'s' if count > 1 else ''}, the last is cuda:{count - 1}"
    return "torch", gpu_name(index)


def _by_onnx(asked: str) -> tuple[str | None, str]:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return None, "the onnxruntime installed here has no CUDA provider (onnxruntime-gpu has)"
    none = no_driver()
    return ("onnx", f"ONNX Runtime's CUDA provider on {asked}") if none is None else (None, none)
