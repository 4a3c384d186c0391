"""Stages on LiteRT, on the CPU: by ai-edge-litert, or by tflite-runtime where only that has a wheel.

Both packages contain the same interpreter, years apart; package.py handles their differences.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from partway.engines.interface import Outputs
from partway.engines.litert.bounds import check_tflite
from partway.engines.litert.package import find_package, without_greeting
from partway.errors import InputError
from partway.proto.datatypes import OIP_NAME
from partway.proto.tensors import TensorSpec, Values

Array = np.ndarray[Any, Any]
Shapes = list[tuple[int, ...]]
_SOURCE = re.compile(r"\S+\.(?:h|cc):[0-9]+ ")
"""Where in the interpreter's own source an error was raised."""
_FOREIGN = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, MemoryError, SystemError)
"""What its binding raises; MemoryError when a damaged shape asks for more than there is."""


class LitertStage:
    """One interpreter, for one caller at a time: others wait, because its threads are busy anyway.

    State of the stage (variable tensors) is cleared before each run, so frames are independent.
    """

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._lock = Lock()
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs, self.outputs = _specs(inputs), _specs(outputs)
        self._in = [(s.name, d["index"], np.dtype(s.dtype)) for s, d in zip(self.inputs, inputs, strict=True)]
        self._out = [(s.name, d["index"]) for s, d in zip(self.outputs, outputs, strict=True)]
        self._shapes: Shapes | None = [tuple(map(int, d["shape"])) for d in inputs]
        self._resizes = True

    def run(self, values: Values) -> Outputs:
        """Every output by name, copied out of the interpreter; raises InputError when it refuses the tensors.

        A batch of another size than the last resizes the interpreter; a stage that cannot be resized (a reshape with
        the batch written into it) runs a batch frame by frame.
        """
        arrays = [_native(values[name], name, dtype) for name, _, dtype in self._in]
        with self._lock:
            try:
                return self._run(arrays)
            except _FOREIGN as error:
                self._shapes = None
                raise InputError(f"LiteRT refused the tensors: {_brief(error)}") from error

    def _run(self, arrays: Sequence[Array]) -> Outputs:
        shapes = [array.shape for array in arrays]
        if shapes == self._shapes:
            return self._invoke(arrays)
        for spec, array in zip(self.inputs, arrays, strict=True):
            if not spec.accepts(array.shape, spec.dtype) or not array.size:
                raise InputError(f"LiteRT refused the tensors: {spec.name} is {list(spec.shape)}, {array.shape} came")
        frames = self._frames(shapes)
        if frames is None:
            self._resize(shapes)
            return self._invoke(arrays)
        if self._resizes:
            outputs = self._batch(arrays, shapes, frames)
            if outputs is not None:
                return outputs
        each = [self._run([array[index : index + 1] for array in arrays]) for index in range(frames)]
        return {name: np.concatenate([outputs[name] for outputs in each]) for name, _ in self._out}

    def _frames(self, shapes: Shapes) -> int | None:
        """The number of frames in these tensors; None when there is one, or when they cannot run one by one."""
        free = all(spec.shape and spec.shape[0] is None for spec in (*self.inputs, *self.outputs))
        first = {shape[0] for shape in shapes} if free else set()
        return max(first) if len(first) == 1 and first != {1} else None

    def _batch(self, arrays: Sequence[Array], shapes: Shapes, frames: int) -> Outputs | None:
        """Run all frames at once; None when this stage cannot."""
        try:
            self._resize(shapes)
            outputs = self._invoke(arrays)
            if all(len(array) == frames for array in outputs.values()):
                return outputs
        except _FOREIGN:
            pass
        self._shapes, self._resizes = None, False
        return None

    def _resize(self, shapes: Shapes) -> None:
        self._shapes = None
        for (_, index, _), shape in zip(self._in, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes

    def _invoke(self, arrays: Sequence[Array]) -> Outputs:
        interpreter = self._interpreter
        interpreter.reset_all_variables()
        for (_, index, _), array in zip(self._in, arrays, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in self._out}


class LitertEngine:
    """LiteRT on the CPU, with XNNPACK wherever the package at hand has kernels for it (its default)."""

    name = "litert"

    def __init__(self, threads: int = 0) -> None:
        self._package = find_package()
        self.version = self._package.version
        self.threads = threads or os.cpu_count() or 1

    def load(self, stage: bytes) -> LitertStage:
        """An interpreter over the stage's bytes; InputError when they are no TFLite model that this version runs.

        The file is checked first: an interpreter trusts what it reads, and a damaged offset would end the process.
        """
        check_tflite(stage)
        try:
            with without_greeting():
                return LitertStage(self._package.interpreter(model_content=stage, num_threads=self.threads))
        except _FOREIGN as error:
            raise InputError(f"LiteRT cannot load this stage: {_brief(error)}") from error


def _specs(details: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    specs = tuple(_spec(detail) for detail in details)
    if len({spec.name for spec in specs}) < len(specs):
        raise InputError(
            "two inputs or outputs of this stage have one name; slice the model again with `partway slice`"
        )
    return specs


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    name, dtype = str(detail["name"]), np.dtype(detail["dtype"]).name
    if dtype not in OIP_NAME:
        raise InputError(f"value {name} is a tensor of {dtype}; only plain numbers can cross between stages")
    signature = detail["shape_signature"]
    shape = detail["shape"] if not len(signature) else signature
    return TensorSpec(name, dtype, tuple(None if size < 0 else int(size) for size in shape))


def _native(array: Array, name: str, dtype: np.dtype[Any]) -> Array:
    """The array in this machine's byte order: the interpreter ignores the byte order."""
    if array.dtype == dtype:
        return array
    if array.dtype.name != dtype.name:
        raise InputError(f"LiteRT refused the tensors: {name} is {dtype}, {array.dtype} came")
    return array.astype(dtype)


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return _SOURCE.sub("", text)[:300]
