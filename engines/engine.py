"""What an engine is: something that turns a stage file into a function from named tensors to named tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from partway.proto.errors import InputError, MissingPackage
from partway.proto.tensors import TensorSpec, Values

Outputs = dict[str, "np.ndarray[Any, Any]"]


class LoadedStage(Protocol):
    """A stage in memory, ready to run. Safe to call from several threads."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the stage reads."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the stage makes."""

    def run(self, values: Values) -> Outputs:
        """Every output by name. ``values`` holds at least the inputs; others are ignored."""


class Engine(Protocol):
    """Loads stages. One engine per process and thread count."""

    @property
    def name(self) -> str:
        """What a plan calls it."""

    @property
    def version(self) -> str:
        """Of the package that does the work."""

    @property
    def threads(self) -> int:
        """Threads per inference."""

    def load(self, stage: bytes) -> LoadedStage:
        """A stage from its file's bytes. Raises InputError when the bytes are no stage of this engine."""


def engine_for(name: str, threads: int = 0) -> Engine:
    """The engine a plan names (``onnx``, ``litert``), with ``threads`` threads (0: as many as the machine has cores).

    Raises InputError when the engine is unknown, MissingPackage when its package is missing, naming the package.
    """
    loaders: dict[str, Callable[[int], Engine]] = {"onnx": _onnx, "litert": _litert, "fake": _fake}
    if name not in loaders:
        raise InputError(f"unknown engine {name!r}; this version has: {', '.join(loaders)}")
    return loaders[name](threads)


def _onnx(threads: int) -> Engine:
    try:
        from partway.engines.onnx import OnnxEngine
    except ImportError as error:
        raise MissingPackage(f"the engine onnx needs onnxruntime ({error}); pip install onnxruntime") from error
    return OnnxEngine(threads)


def _litert(threads: int) -> Engine:
    from partway.engines.litert import LitertEngine

    return LitertEngine(threads)


def _fake(threads: int) -> Engine:
    from partway.engines.fake import FakeEngine

    return FakeEngine(threads=threads or 1)
