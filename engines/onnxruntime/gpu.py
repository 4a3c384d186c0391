"""Stages on ONNX Runtime's CUDA and TensorRT execution providers: tensors are bound where they lie.

Between stages values stay on the GPU as ONNX Runtime's own device values; only the cut's tensors go up and the answer
comes down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from partway.engines.interface import LoadedStage, OutOfMemory, Outputs
from partway.engines.onnxruntime.engine import OnnxEngine
from partway.engines.onnxruntime.stage import OnnxStage, brief
from partway.errors import InputError, PartwayError
from partway.proto.tensors import TensorSpec, Values

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
NO_MEMORY = ("out of memory", "Failed to allocate memory", "cudaErrorMemoryAllocation", "CUBLAS_STATUS_ALLOC_FAILED")
"""ONNX Runtime's providers report exhausted memory with these words."""


class OnnxDeviceStage:
    """A session, or several in a row, with inputs and outputs bound to a device (``cpu`` to try it without one)."""

    def __init__(self, stages: Sequence[OnnxStage], device: str, outputs: Collection[str] | None = None) -> None:
        self._stages, (self._kind, _, index) = tuple(stages), device.partition(":")
        self._index = int(index or 0)
        produced: dict[str, TensorSpec] = {}
        read: dict[str, TensorSpec] = {}
        for stage in stages:
            read.update((spec.name, spec) for spec in stage.inputs if spec.name not in produced)
            produced.update((spec.name, spec) for spec in stage.outputs)
        self.inputs = tuple(read.values())
        self.outputs = tuple(spec for name, spec in produced.items() if outputs is None or name in outputs)

    @property
    def buckets(self) -> tuple[int, ...]:
        """See StaysOnDevice: none is preferred."""
        return ()

    def run(self, values: Values) -> Outputs:
        """Every output by name; InputError when the tensors do not fit, OutOfMemory when there is no room for them."""
        return {name: value.numpy() for name, value in self.advance(values).items()}

    def advance(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Like ``run``, but the outputs stay on the device."""
        live = dict(values)
        try:
            for stage in self._stages:
                live.update(self._bound(stage, live))
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
            raise _ours(error) from error
        return {spec.name: live[spec.name] for spec in self.outputs}

    def _bound(self, stage: OnnxStage, values: Mapping[str, Any]) -> dict[str, Any]:
        session = stage.session
        binding = session.io_binding()
        for spec in stage.inputs:
            value = values[spec.name]
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(spec.name, np.ascontiguousarray(value))
            else:
                binding.bind_ortvalue_input(spec.name, value)
        for spec in stage.outputs:
            binding.bind_output(spec.name, self._kind, self._index)
        session.run_with_iobinding(binding)
        return {spec.name: value for spec, value in zip(stage.outputs, binding.get_outputs(), strict=True)}

    def fetch(self, values: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> Outputs:
        """Device values as arrays."""
        return {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in values.items()}

    def join(self, parts: Sequence[Any]) -> Any:
        """Joins on the host: ONNX Runtime cannot join device values."""
        return np.concatenate([part if isinstance(part, np.ndarray) else part.numpy() for part in parts])

    def followed_by(self, others: Sequence[LoadedStage], outputs: Collection[str]) -> OnnxDeviceStage:
        """This stage and the following ones as a single stage."""
        more = [one for other in others if isinstance(other, OnnxDeviceStage) for one in other._stages]
        return OnnxDeviceStage([*self._stages, *more], f"{self._kind}:{self._index}", outputs)


class OnnxDeviceEngine(OnnxEngine):
    """ONNX Runtime with an execution provider of a GPU. ``tensorrt`` puts TensorRT before CUDA."""

    def __init__(self, threads: int = 0, device: str = "cuda:0", tensorrt: bool = False) -> None:
        super().__init__(threads)
        kind, _, index = device.partition(":")
        providers = {"cuda": [CUDA], "cpu": []}.get(kind)
        if providers is None:
            raise InputError(f"unknown device {device!r}; choose cpu, cuda or cuda:i")
        has = ort.get_available_providers()
        for provider in [TENSORRT, *providers] if tensorrt else providers:
            if provider not in has:
                raise InputError(
                    f"the onnxruntime installed here has no {provider}; pip install onnxruntime-gpu, or --engine torch"
                )
        self.device = device
        options = {"device_id": int(index or 0)}
        self._providers: list[Any] = [
            *([(TENSORRT, {**options, "trt_fp16_enable": False})] if tensorrt else []),
            *([(provider, {**options, "use_tf32": 0}) for provider in providers]),
            CPU,
        ]

    def load(self, stage: bytes) -> Any:
        """See OnnxEngine; on the device."""
        return OnnxDeviceStage([super().load(stage)], self.device)

    def load_with_data(self, stage: bytes, file: str, data: Any) -> Any:
        """See OnnxEngine; on the device."""
        return OnnxDeviceStage([super().load_with_data(stage, file, data)], self.device)

    def _session(self, stage: bytes, options: Any) -> Any:
        try:
            session = ort.InferenceSession(stage, options, providers=self._providers)
        except Exception as error:  # as above
            raise InputError(f"ONNX Runtime cannot load this stage: {brief(error)}") from error
        missing = [name for name, *_ in self._named() if name not in session.get_providers()]
        if missing:  # ONNX Runtime goes on without a provider that does not start
            raise InputError(
                f"ONNX Runtime could not start {missing[0]} (driver, CUDA or cuDNN of another version?); "
                "use --device cpu or --engine torch"
            )
        return session

    def _named(self) -> list[tuple[str, ...]]:
        return [one if isinstance(one, tuple) else (one,) for one in self._providers]


def _ours(error: Exception) -> PartwayError:
    if isinstance(error, PartwayError):
        return error
    text = brief(error)
    if any(sign in str(error) for sign in NO_MEMORY):
        return OutOfMemory(f"the device has no memory for this batch: {text}")
    return InputError(f"ONNX Runtime refused the tensors: {text}")
