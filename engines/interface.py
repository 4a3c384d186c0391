"""What an engine is: something that turns a stage file into a function from named tensors to named tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from partway.errors import InputError, MissingPackage, PartwayError
from partway.proto.protowire import FileBytes
from partway.proto.tensors import TensorSpec, Values

Outputs = dict[str, "np.ndarray[Any, Any]"]
NO_ENGINE = "none"
"""What a plan of measured times names, whose stages exist nowhere."""


class Unsupported(InputError):  # noqa: N818 - says what is wrong
    """A stage has an operator that this engine does not run; the message names it and the engine that does."""


class OutOfMemory(PartwayError):  # noqa: N818 - says what happened
    """The engine had no memory for a run, and is as it was before. A smaller batch may fit."""


class LoadedStage(Protocol):
    """A stage in memory, ready to run. Safe to call from several threads."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the stage reads."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the stage makes."""

    def run(self, values: Values) -> Outputs:
        """Every output by name. ``values`` holds at least the inputs; others are ignored.

        Raises InputError when the tensors do not fit the stage, OutOfMemory when they do not fit into memory.
        """


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


@runtime_checkable
class TakesData(Protocol):
    """An engine whose stages may keep their weights in a second file, as ONNX files of more than 2 GB must."""

    def load_with_data(self, stage: bytes, file: str, data: FileBytes) -> LoadedStage:
        """A stage from its file's bytes and those of its data file, which the stage must call ``file``.

        Raises InputError when the stage refers to any other file.
        """


@runtime_checkable
class StaysOnDevice(Protocol):
    """A loaded stage whose values need not come back to the host before the next stage has them."""

    @property
    def buckets(self) -> tuple[int, ...]:
        """The batch sizes that run fastest, smallest first; others are filled up to the next. Empty: all alike."""

    def advance(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """As ``run``, but the outputs stay where they were computed. Takes arrays and what ``advance`` gave."""

    def fetch(self, values: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> Outputs:
        """All values as arrays of their declared types, those that are arrays as they are."""

    def join(self, parts: Sequence[Any]) -> Any:
        """Values of several frames, arrays or not, as one batch."""

    def followed_by(self, others: Sequence[LoadedStage], wanted: Collection[str]) -> LoadedStage:
        """This stage and those after it as one that makes those of their values that are ``wanted``."""


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """Seconds a run spends on one operator of the model, by the model's own name.

    ``fused`` names all operators that ran as one with it, itself included; empty when it ran alone. ``name`` is None
    for what the engine inserted, and ``kind`` then what it calls that. ``calls`` counts kernels a run: 0 when it needs
    none.
    """

    name: str | None
    kind: str
    time_s: float
    calls: int
    fused: tuple[str, ...] = ()


class WatchedStage(LoadedStage, Protocol):
    """A loaded stage with a profiler on. A context manager: what it keeps on disk goes with it."""

    def operators(self, runs: Sequence[int]) -> tuple[OperatorTime, ...]:
        """Seconds per operator over these runs, counted from 0. Ends the profiler: nothing can run after it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class TimesOperators(Protocol):
    """What an engine can do besides: time the operators within a stage."""

    def watch(self, stage: bytes) -> WatchedStage:
        """A stage from its file's bytes, with a profiler on. InputError when it cannot be loaded."""


def files_of(name: str) -> str:
    """Whose stage files an engine runs: its own, but for torch, which runs those of ONNX."""
    return {"torch": "onnx"}.get(name, name)


def engine_for(name: str, threads: int = 0, device: str = "cpu", **options: Any) -> Engine:
    """The engine a plan names (``onnx``, ``litert``), with ``threads`` threads (0: as many as the machine has cores).

    ``torch`` runs the stages of ``onnx``. ``device`` is ``cpu`` or ``cuda:i``, which onnx and torch know; ``options``
    are those of :class:`~partway.engines.torch.engine.TorchEngine`, or of ONNX Runtime's engine on a GPU. Raises
    InputError when the engine is unknown, MissingPackage when its package is missing, naming the package.
    """
    loaders: dict[str, Callable[[int], Engine]] = {
        "onnx": _onnx if device == "cpu" else lambda threads: _onnx_on(threads, device, options),
        "onnx-int8": _onnx_int8,
        "litert": _litert,
        "torch": lambda threads: _torch(threads, device, options),
        "fake": _fake,
    }
    if name == NO_ENGINE:
        raise InputError(
            "this plan holds measured times only, there is nothing to run; `partway explain` takes it with --profile"
            " and --cloud-profile"
        )
    if name not in loaders:
        raise InputError(f"unknown engine {name!r}; this version has: {', '.join(loaders)}")
    return loaders[name](threads)


def _onnx(threads: int) -> Engine:
    try:
        from partway.engines.onnxruntime.engine import OnnxEngine
    except ImportError as error:
        raise MissingPackage(f"the engine onnx needs onnxruntime ({error}); pip install onnxruntime") from error
    return OnnxEngine(threads)


def _onnx_on(threads: int, device: str, options: Mapping[str, Any]) -> Engine:
    from partway.engines.onnxruntime.gpu import OnnxDeviceEngine

    return OnnxDeviceEngine(threads, device, **options)


def _torch(threads: int, device: str, options: Mapping[str, Any]) -> Engine:
    try:
        from partway.engines.torch.engine import TorchEngine
    except ImportError as error:
        raise MissingPackage(f"the engine torch needs torch ({error}); pip install 'partway[torch]'") from error
    return TorchEngine(threads, device, **options)


def _onnx_int8(threads: int) -> Engine:
    try:
        from partway.engines.onnxruntime.engine import QuantisedOnnxEngine
    except ImportError as error:
        raise MissingPackage(f"the engine onnx-int8 needs onnxruntime ({error}); pip install onnxruntime") from error
    return QuantisedOnnxEngine(threads)


def _litert(threads: int) -> Engine:
    from partway.engines.litert.engine import LitertEngine

    return LitertEngine(threads)


def _fake(threads: int) -> Engine:
    from partway.engines.fake import FakeEngine

    return FakeEngine(threads=threads or 1)
