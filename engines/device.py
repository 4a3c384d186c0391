"""Choose the device an engine computes on, and give the reason.

Whether there is an NVIDIA GPU is asked of the driver first, which takes milliseconds; torch is imported only where the
driver has found one, or where CUDA is asked for by name.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass

from partway.engines.registry import computes_on, cuda_engines, engine_entry
from partway.errors import InputError, MissingPackage

DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?", re.ASCII)
EXTRA = "pip install 'partway[torch]'"


@dataclass(frozen=True, slots=True)
class Chosen:
    """``device`` is ``cpu`` or ``cuda:i``; ``engine`` is the default for ONNX models there; ``why`` is the reason."""

    device: str
    engine: str
    why: str

    def __str__(self) -> str:
        return f"{self.device}: {self.why}"


def choose_device(requested: str = "auto", engine: str = "auto") -> Chosen:
    """The device for ``--device auto|cpu|cuda[:i]`` and an engine (``auto``: whichever can use it).

    Raises InputError when CUDA is asked for and cannot be had, MissingPackage when no engine for it is installed.
    """
    if DEVICE.fullmatch(requested) is None:
        raise InputError(f"unknown device {requested!r}; choose auto, cpu, cuda or cuda:i with --device")
    if requested == "cpu":
        return Chosen("cpu", "auto", "as asked")
    if engine != "auto" and not computes_on(engine, "cuda"):
        if requested == "auto":
            return Chosen("cpu", "auto", f"the engine {engine} computes there")
        choices = " or ".join(sorted(cuda_engines(), key=_preference))
        raise InputError(f"the engine {engine} does not run on CUDA; choose --engine {choices}, or --device cpu")
    missing = no_driver() if requested == "auto" else None
    if missing is not None:
        return Chosen("cpu", "auto", missing)
    index = int(requested.partition(":")[2] or 0)
    reasons = []
    for name in [engine] if engine != "auto" else sorted(cuda_engines(), key=_preference):
        gpu, reason = _find_gpu(name, index)
        if gpu is not None:
            return Chosen(f"cuda:{index}", name, gpu)
        reasons.append(reason)
    if requested == "auto":
        return Chosen("cpu", "auto", reasons[0])
    kind = MissingPackage if "not installed" in reasons[0] else InputError
    raise kind(
        f"--device {requested} cannot be had: {reasons[0]}; choose --device cpu"
        + (f" or {EXTRA}" if kind is MissingPackage else "")
    )


def _preference(engine: str) -> tuple[bool, str]:
    """Engines that run another engine's files come first: they are faster on a GPU."""
    return engine_entry(engine).files == engine, engine


def _find_gpu(engine: str, index: int) -> tuple[str | None, str]:
    """The GPU that an engine's package finds, or None and the reason."""
    find = engine_entry(engine).find_gpu
    return (None, f"the engine {engine} cannot look for GPUs") if find is None else find(index)


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
