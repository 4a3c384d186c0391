"""Plans of models that take waveforms, and WAV files byte by byte."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.mnist_plans import TENSORS

from partway.partitioner.plan.plan import Plan
from partway.proto.tensors import Quantization, TensorSpec

Array = np.ndarray[Any, Any]


def audio_plan(*inputs: tuple[str, str, tuple[int | None, ...]], quantized: bool = False, **stated: Any) -> Plan:
    """A plan whose model takes these inputs: name, dtype and shape. ``stated``: the plan's own entry on its input."""
    meaning = Quantization((0.5,), (0,)) if quantized else None
    specs = [TensorSpec(name, dtype, shape, meaning) for name, dtype, shape in inputs]
    cut = replace(TENSORS.cuts[0], values=tuple(spec.name for spec in specs))
    tensors = {**TENSORS.tensors, **{spec.name: spec for spec in specs}}
    return replace(TENSORS, model="ears", cuts=(cut, *TENSORS.cuts[1:]), tensors=tensors, input=stated)


def tone(rate_hz: int, seconds: float, hz: float = 440.0, loud: float = 0.5) -> Array:
    """A sine, float64."""
    return loud * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)


def write_wav(
    path: Path, samples: Array, rate_hz: int = 16000, kind: int = 1, bits: int = 16, extensible: bool = False,
    size: int | None = None, before: bytes = b"",
) -> Path:  # fmt: skip
    """Write [frames] or [frames, channels] of -1 to 1. ``size``: what the header says instead of the real size."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if kind == 3:
        data = samples.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = (np.round(samples * 127) + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples.reshape(-1) * (2 ** (bits - 1) - 1)).astype("<i4")
        data = whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, rate_hz, rate_hz * width, width, bits)
    if extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, kind, b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path
