"""Which engines there are, found through the entry points ``partway.engines``.

Entries are light: an engine's package is imported when the engine is made.
"""

from __future__ import annotations

from typing import Any

from partway.engines.interface import NO_ENGINE, Engine, EngineEntry
from partway.errors import InputError
from partway.plugins import Registry

_ENTRIES: Registry[EngineEntry] = Registry("partway.engines", "engine")


def engine_names() -> list[str]:
    """The engines that ship with Partway."""
    return _ENTRIES.own_names()


def every_engine() -> list[str]:
    """The engines that ship with Partway, then those of other installed packages."""
    return _ENTRIES.names()


def engine_entry(name: str) -> EngineEntry:
    """The engine's entry, read without importing its package. Raises InputError for an unknown name."""
    entry = _ENTRIES.get(name)
    if not isinstance(entry, EngineEntry):
        raise InputError(f"the engine {name!r} of another package is no EngineEntry; mend or uninstall that package")
    return entry


def engine_for(name: str, threads: int = 0, device: str = "cpu", **options: Any) -> Engine:
    """The engine a plan names (``onnx``, ``litert``), with ``threads`` threads (0: as many as the machine has cores).

    ``device`` is ``cpu`` or ``cuda:i``; ``options`` are the engine's own. Raises InputError when the engine is unknown,
    MissingPackage when its package is missing, naming the package.
    """
    if name == NO_ENGINE:
        raise InputError(
            "this plan holds measured times only, there is nothing to run; `partway explain` takes it with --profile"
            " and --cloud-profile"
        )
    return engine_entry(name).make(threads, device, **options)


def files_of(name: str) -> str:
    """The engine whose stage files this one runs; an unknown engine runs its own."""
    return engine_entry(name).files if _is_engine(name) else name


def fallback_of(name: str) -> str:
    """The engine whose stage files this one runs where a stage has none of its own; empty if there is none."""
    return engine_entry(name).fallback if _is_engine(name) else ""


def layout_of(name: str) -> str:
    """The layout of the engine's models, ``NCHW`` or ``NHWC``; ``NCHW`` when the engine is not installed."""
    return engine_entry(name).layout if _is_engine(name) else "NCHW"


def computes_on(name: str, kind: str) -> bool:
    """Whether the engine is installed and computes on this kind of device, ``cpu`` or ``cuda``."""
    return _is_engine(name) and kind in engine_entry(name).devices


def cuda_engines() -> list[str]:
    """The engines of Partway's that compute on CUDA."""
    return [name for name in engine_names() if computes_on(name, "cuda")]


def _is_engine(name: str) -> bool:
    return name not in ("auto", NO_ENGINE) and name in _ENTRIES
