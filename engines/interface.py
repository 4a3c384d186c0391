"""What an engine is: something that turns a stage file into a function from named tensors to named tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

from partway.errors import InputError, PartwayError

if TYPE_CHECKING:  # command lines name the engines before they load numpy
    import numpy as np

    from partway.proto.protowire import FileBytes
    from partway.proto.tensors import TensorSpec, Values

Outputs = dict[str, "np.ndarray[Any, Any]"]
NO_ENGINE = "none"
"""The engine name in a plan of measured times, which has no stage files."""


class Unsupported(InputError):  # noqa: N818 - says what is wrong
    """This engine cannot run an operator of the stage; the message names it and an engine that can."""


class OutOfMemory(PartwayError):  # noqa: N818 - says what happened
    """The engine has too little memory for this run; its state is unchanged, and a smaller batch may fit."""


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
        """Load a stage from its file's bytes. Raises InputError when they are not a stage of this engine."""


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
        """The fastest batch sizes, ascending; other batches are padded to the next one. Empty: no size is preferred."""

    def advance(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Like ``run``, but the outputs stay on the device. Accepts arrays and the results of ``advance``."""

    def fetch(self, values: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> Outputs:
        """All values as arrays of their declared types; arrays pass through unchanged."""

    def join(self, parts: Sequence[Any]) -> Any:
        """Values of several frames, arrays or not, as one batch."""

    def followed_by(self, others: Sequence[LoadedStage], outputs: Collection[str]) -> LoadedStage:
        """This stage and the following ones as a single stage that returns only ``outputs``."""


@dataclass(frozen=True, slots=True)
class OperatorTiming:
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

    def operators(self, runs: Sequence[int]) -> tuple[OperatorTiming, ...]:
        """Seconds per operator over these runs, counted from 0. Ends the profiler: nothing can run after it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class TimesOperators(Protocol):
    """An engine that can time the operators within a stage."""

    def watch(self, stage: bytes) -> WatchedStage:
        """A stage from its file's bytes, with a profiler on. InputError when it cannot be loaded."""


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """How to get an engine. An entry of the group ``partway.engines``, by the engine's name, is one of these.

    ``files`` names the engine whose stage files it runs (its own, or another's), ``fallback`` the engine whose files it
    runs for stages that have none of those. ``layout`` tells where its models have
    their channels. ``devices`` are the kinds it computes on, ``cpu`` or ``cuda``. ``make(threads, device, **options)``
    imports what it needs and builds the engine; 0 threads are as many as the machine has cores. ``options`` names the
    keywords that ``make`` takes besides, with their defaults. ``find_gpu(index)`` tells what the engine's package sees
    of a GPU: its name, or None and the reason. ``packages`` are the PyPI names of packages of which it needs one; the
    first is the one to install. ``trusts_files`` marks an engine that a damaged file can end together
    with its process.
    """

    files: str
    make: Callable[..., Engine]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    devices: tuple[str, ...] = ("cpu",)
    options: Mapping[str, Any] = field(default_factory=dict)
    find_gpu: Callable[[int], tuple[str | None, str]] | None = None
    trusts_files: bool = False
    packages: tuple[str, ...] = ()
    fallback: str = ""
