"""Run a torch module on named tensors: checks, batch buckets, captured graphs, errors.

On a device that captures, a batch is padded with zeros to the next bucket, one graph is replayed per bucket, and the
results of the padding are dropped.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from partway.engines.interface import OutOfMemory, Outputs
from partway.engines.torch.device import TorchDevice
from partway.engines.torch.operator_table import ShapeCache
from partway.errors import InputError, PartwayError
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.engines")

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
MOST_GRAPHS = 16
"""Captured graphs per range of stages; the least recently used one is dropped."""
Shapes = tuple[tuple[int, ...], ...]
NUMPY = {
    np.dtype(name): dtype
    for name, dtype in {
        "float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bool": torch.bool,
        "int8": torch.int8, "int16": torch.int16, "int32": torch.int32, "int64": torch.int64, "uint8": torch.uint8,
        "uint16": torch.uint16, "uint32": torch.uint32, "uint64": torch.uint64,
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """What a runner runs: a function of positional tensors, and what they are called. See :class:`Built`."""

    module: Callable[..., Sequence[torch.Tensor]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    waits: bool
    mixes: bool
    cache: tuple[ShapeCache, ...]
    floats: torch.dtype
    weights: frozenset[int] = frozenset()
    """Where the module's weights lie, so that no answer shares memory with them."""

    def native(self, spec: TensorSpec) -> torch.dtype:
        """The dtype a value has on the device."""
        return self.floats if spec.dtype == "float32" else NUMPY[np.dtype(spec.dtype)]


@dataclass(slots=True)
class Captured:
    """Work of fixed shapes; ``keep`` holds what it reads besides its inputs."""

    inputs: list[torch.Tensor]
    replay: Callable[[], None]
    outputs: Sequence[torch.Tensor]
    keep: list[dict[Any, torch.Tensor]]


class ProgramRunner:
    """One program on one device. Safe to call from several threads."""

    def __init__(self, program: Program, device: TorchDevice) -> None:
        self.program, self.device = program, device
        self._graphs: OrderedDict[Shapes, Captured | None] = OrderedDict()
        specs = (*program.inputs, *program.outputs)
        self._batched = bool(program.inputs) and all(spec.shape and spec.shape[0] is None for spec in specs)

    def start(self, values: Mapping[str, Any]) -> Callable[[], Outputs]:
        """Submit the work; the returned function waits for the outputs, arrays of the declared types."""
        outputs = self.program.outputs
        with self.device.working(), self._errors(), torch.inference_mode():
            results = self._compute(values, lambda spec: NUMPY[np.dtype(spec.dtype)])
            fetch = self.device.download([tensor.contiguous() for tensor in results])

        def result() -> Outputs:
            with self._errors():
                return {spec.name: array for spec, array in zip(outputs, fetch(), strict=True)}

        return result

    def advance(self, values: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """The outputs as device tensors, for the next stages."""
        with self.device.working(), self._errors(), torch.inference_mode():
            results = self._compute(values, self.program.native)
        return {spec.name: tensor for spec, tensor in zip(self.program.outputs, results, strict=True)}

    def _compute(self, values: Mapping[str, Any], dtype: Callable[[TensorSpec], torch.dtype]) -> list[torch.Tensor]:
        tensors = self._uploaded([_checked(spec, values[spec.name]) for spec in self.program.inputs])
        count = self._count(tensors)
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        if count is not None:
            bucket = next((size for size in BUCKETS if size >= count), count)
            shapes = tuple((bucket, *shape[1:]) for shape in shapes)
        captured = None
        if self.device.captures and not self.program.waits:
            captured = self._captured(shapes, count is not None)
        if captured is None:
            results = self.program.module(*self._native(tensors))
            return self._own(tensors, results, dtype)
        for mine, tensor in zip(captured.inputs, tensors, strict=True):
            if count is None:
                mine.copy_(tensor)
            else:
                mine[:count].copy_(tensor)
                mine[count:].zero_()
        captured.replay()
        specs = zip(self.program.outputs, captured.outputs, strict=True)
        return [tensor[:count].to(dtype(spec), copy=True) if count else tensor.to(dtype(spec), copy=True)
                for spec, tensor in specs]  # fmt: skip

    def _uploaded(self, values: Sequence[Any]) -> list[torch.Tensor]:
        """Arrays go to the device, in one copy; tensors are there already."""
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        uploaded = iter(self.device.upload(arrays) if arrays else ())
        return [next(uploaded) if isinstance(value, np.ndarray) else value for value in values]

    def _native(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [tensor.to(self.program.native(s)) for tensor, s in zip(tensors, self.program.inputs, strict=True)]

    def _count(self, tensors: Sequence[torch.Tensor]) -> int | None:
        """The number of samples, or None when the batch must not be padded."""
        if not self._batched or self.program.mixes:
            return None
        counts = {tensor.shape[0] for tensor in tensors}
        return counts.pop() if len(counts) == 1 and 0 not in counts else None

    def _captured(self, shapes: Shapes, batched: bool) -> Captured | None:
        """The captured graph for these shapes, created on first use; None when capture is impossible."""
        if shapes in self._graphs:
            self._graphs.move_to_end(shapes)
            return self._graphs[shapes]
        captured = self._capture(shapes)
        if (
            captured is not None
            and batched
            and any(not len(t.shape) or len(t) != shapes[0][0] for t in captured.outputs)
        ):
            captured = None  # its first dimension is not the batch after all
        if len(self._graphs) >= MOST_GRAPHS:
            self._graphs.popitem(last=False)
        self._graphs[shapes] = captured
        return captured

    def _capture(self, shapes: Shapes) -> Captured | None:
        device, program = self.device, self.program
        inputs = [
            torch.zeros(shape, dtype=program.native(spec), device=device.torch)
            for shape, spec in zip(shapes, program.inputs, strict=True)
        ]
        try:
            replay, outputs = device.capture(lambda: program.module(*inputs))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.info("%s runs without a CUDA graph: %s", program.outputs[0].name, _brief(error))
            return None
        return Captured(inputs, replay, outputs, [cache.tensors for cache in program.cache])

    def _own(
        self,
        inputs: Sequence[torch.Tensor],
        results: Sequence[torch.Tensor],
        dtype: Callable[[TensorSpec], torch.dtype],
    ) -> list[torch.Tensor]:
        """Results of the declared types that share memory with no input, weight or other result."""
        taken = {_place(tensor) for tensor in inputs} | self.program.weights
        found = []
        for spec, tensor in zip(self.program.outputs, results, strict=True):
            own = tensor.to(dtype(spec))
            if _place(own) in taken:
                own = own.clone()
            taken.add(_place(own))
            found.append(own)
        return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate torch's errors; on exhausted memory free the caches, so that a smaller batch fits."""
        try:
            yield
        except PartwayError:
            raise
        except torch.OutOfMemoryError as error:
            self._make_room()
            raise OutOfMemory(f"the device has no memory for this batch: {_brief(error)}") from error
        except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
            text = _brief(error)
            if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
                self._make_room()
                raise OutOfMemory(f"there is no memory for this batch: {text}") from error
            if isinstance(error, getattr(torch, "AcceleratorError", ())):
                raise PartwayError(f"the device failed: {text}") from error
            raise InputError(f"torch refused the tensors: {text}") from error

    def _make_room(self) -> None:
        self._graphs.clear()
        self.device.free()


def _checked(spec: TensorSpec, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        shape, right = tuple(value.shape), True
    else:
        shape, right = value.shape, value.dtype.name == spec.dtype
    if not right or not spec.accepts(shape, spec.dtype):
        want = f"{spec.dtype} {[size if size is not None else 'any' for size in spec.shape]}"
        raise InputError(f"torch refused the tensors: {spec.name} is {want}, {value.dtype} {list(shape)} came")
    return value


def _place(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage().data_ptr())


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
