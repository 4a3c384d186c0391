"""Stages on torch, on the CPU or an NVIDIA GPU: the ONNX stage files themselves, operator by operator.

See docs/decisions/0009-torch-runs-the-onnx-stages.md. torch is imported by whoever loads this engine only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from partway.engines.interface import LoadedStage, Outputs
from partway.engines.onnx_file.model import OnnxFile, read_model
from partway.engines.torch.builder import build
from partway.engines.torch.device import Cpu, TorchDevice
from partway.engines.torch.executor import BUCKETS, NUMPY, Program, ProgramRunner
from partway.errors import InputError
from partway.proto.protowire import FileBytes
from partway.proto.tensors import TensorSpec, Values

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchStage:
    """A stage, or several that run as one."""

    def __init__(self, program: Program, device: TorchDevice, compiled: bool = False) -> None:
        self.inputs, self.outputs = program.inputs, program.outputs
        captured = device.captures and not program.waits and not program.mixes
        self.buckets: tuple[int, ...] = BUCKETS if captured else ()
        self._program, self._device, self._compiled = program, device, compiled
        self.runner = ProgramRunner(_compiled(program) if compiled else program, device)

    def run(self, values: Values) -> Outputs:
        """Every output by name; raises InputError when the tensors do not fit, OutOfMemory when the batch does not."""
        return self.runner.start(values)()

    def start(self, values: Mapping[str, Any]) -> Callable[[], Outputs]:
        """Start a run; the returned function waits for the outputs. The next batch can start meanwhile."""
        return self.runner.start(values)

    def advance(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs as tensors on the device, which any stage of this engine takes in place of arrays."""
        return self.runner.advance(values)

    def fetch(self, values: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> Outputs:
        """Tensors of the device as arrays of their declared types; arrays as they are."""
        names = [name for name, value in values.items() if isinstance(value, torch.Tensor)]
        with self._device.working(), torch.inference_mode():
            dtypes = {name: NUMPY[np.dtype(specs[name].dtype)] for name in names}
            fetch = self._device.download([values[name].to(dtypes[name]).contiguous() for name in names])
        return {**values, **dict(zip(names, fetch(), strict=True))}

    def join(self, parts: Sequence[Any]) -> Any:
        """Values of several frames as one batch, wherever they lie; slices of it are the frames again."""
        if all(isinstance(part, np.ndarray) for part in parts):
            return np.concatenate(parts)
        with self._device.working(), torch.inference_mode():
            arrays = [part for part in parts if isinstance(part, np.ndarray)]
            uploaded = iter(self._device.upload(arrays) if arrays else ())
            return torch.cat([next(uploaded) if isinstance(part, np.ndarray) else part for part in parts])

    def followed_by(self, others: Sequence[LoadedStage], outputs: Collection[str]) -> TorchStage:
        """This stage and the following ones as a single stage that returns only ``outputs``."""
        stages = [self, *(stage for stage in others if isinstance(stage, TorchStage))]
        if len(stages) != len(others) + 1:
            raise InputError("stages of different engines cannot run as one")
        return TorchStage(_joined([stage._program for stage in stages], outputs), self._device, self._compiled)


class TorchEngine:
    """torch on one device. ``precision`` is what is computed in where the model says float32.

    ``graphs``: whether a GPU's work is captured and replayed. ``place`` is for tests.
    """

    name = "torch"

    def __init__(
        self,
        threads: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        tf32: bool = False,
        compiled: bool = False,
        graphs: bool = True,
        place: TorchDevice | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise InputError(f"unknown precision {precision!r}; choose {', '.join(PRECISIONS)}")
        self.version = str(torch.__version__)
        self.threads = threads or os.cpu_count() or 1
        self.device, self.precision = device, precision
        self._compiled = compiled
        torch.set_num_threads(self.threads)
        self._place = place or _place(device, tf32, graphs)

    def load(self, stage: bytes) -> TorchStage:
        """A stage from its ONNX file's bytes. Raises InputError, and Unsupported where an operator is not known."""
        return self._stage(read_model(stage))

    def load_with_data(self, stage: bytes, file: str, data: FileBytes) -> TorchStage:
        """The same for a stage whose external weights all lie in ``file``, whose bytes are ``data``."""
        return self._stage(read_model(stage, file, data))

    def _stage(self, model: OnnxFile) -> TorchStage:
        floats = PRECISIONS[self.precision]
        built = build(model, self._place.torch, floats)
        weights = frozenset(int(w.untyped_storage().data_ptr()) for w in built.module.buffers())
        program = Program(
            built.module, built.inputs, built.outputs, built.waits, built.mixes, (built.cache,), floats, weights
        )
        return TorchStage(program, self._place, self._compiled)


def _place(device: str, tf32: bool, graphs: bool) -> TorchDevice:
    if device == "cpu":
        return Cpu()
    from partway.engines.torch.cuda import Cuda, exact_arithmetic

    exact_arithmetic(tf32)
    return Cuda(int(device.partition(":")[2] or 0), graphs)


def _joined(programs: Sequence[Program], names: Collection[str]) -> Program:
    """Programs in sequence as one: inputs are what none of them computes, outputs are ``names``."""
    produced: dict[str, TensorSpec] = {}
    read: dict[str, TensorSpec] = {}
    for program in programs:
        read.update((spec.name, spec) for spec in program.inputs if spec.name not in produced)
        produced.update((spec.name, spec) for spec in program.outputs)
    outputs = tuple(spec for name, spec in produced.items() if name in names)
    inputs = tuple(read.values())

    def together(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        live = dict(zip(read, tensors, strict=True))
        for program in programs:
            results = program.module(*(live[spec.name] for spec in program.inputs))
            live.update((spec.name, value) for spec, value in zip(program.outputs, results, strict=True))
        return tuple(live[spec.name] for spec in outputs)

    return Program(
        together,
        inputs,
        outputs,
        any(program.waits for program in programs),
        any(program.mixes for program in programs),
        tuple(cache for program in programs for cache in program.cache),
        programs[0].floats,
        frozenset().union(*(program.weights for program in programs)),
    )


def _compiled(program: Program) -> Program:
    from dataclasses import replace

    return replace(program, module=torch.compile(program.module, dynamic=False))
