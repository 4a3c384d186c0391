"""Find the installed package with the LiteRT interpreter, and handle the differences between the two."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from partway.errors import MissingPackage
from partway.system.files import in_memory

INSTALL = (
    "pip install 'partway[litert]' (ai-edge-litert), or pip install tflite-runtime 'numpy<2' where that has no wheel"
)
NUMPY_2_SINCE = (2, 18)
"""The first release of TensorFlow Lite whose Python packages are built for NumPy 2."""
_GREETINGS = (b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",)
_STDERR = 2
_redirecting = Lock()


@dataclass(frozen=True, slots=True)
class LitertPackage:
    """An importable interpreter class, and the version of the package it is in."""

    interpreter: Callable[..., Any]
    version: str


def find_package() -> LitertPackage:
    """ai-edge-litert where it is installed, else tflite-runtime. Raises MissingPackage, naming what to install."""
    if find_spec("ai_edge_litert") is not None:
        return LitertPackage(_imported("ai_edge_litert").Interpreter, _version("ai-edge-litert"))
    if find_spec("tflite_runtime") is not None:
        version = _version("tflite-runtime")
        _check_numpy(version)
        return LitertPackage(_imported("tflite_runtime").Interpreter, f"{version} (tflite-runtime)")
    raise MissingPackage(f"the engine litert needs LiteRT, which is not installed; {INSTALL}")


def _check_numpy(version: str) -> None:
    """Runs before the import: a module compiled for NumPy 1 prints a page of warnings under NumPy 2, and fails."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if int(np.__version__.split(".")[0]) >= 2 and numbers < NUMPY_2_SINCE:
        raise MissingPackage(
            f"tflite-runtime {version} is built for NumPy 1 and NumPy {np.__version__} is installed (its import would"
            " fail with _ARRAY_API not found); pip install 'numpy<2', or pip install ai-edge-litert instead"
        )


def _imported(package: str) -> Any:
    """Its module ``interpreter``; one that fails half-way leaves nothing in sys.modules."""
    before = set(sys.modules)
    try:
        return importlib.import_module(f"{package}.interpreter")
    except Exception as error:  # a compiled module raises what it likes: ImportError, AttributeError, SystemError
        for name in set(sys.modules) - before:
            if name.split(".")[0] == package:
                del sys.modules[name]
        reason = " ".join(str(error).split())[:200]
        raise MissingPackage(f"{package} is installed but cannot be imported ({reason}); {INSTALL}") from error


def _version(distribution: str) -> str:
    name = distribution.replace("-", "_")
    for folder in map(Path, sys.path):
        for found in folder.glob(f"{name}-*.dist-info"):  # importlib.metadata takes a MB to say the same
            return found.stem.partition("-")[2]
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:  # installed by a system's own packages
        return str(getattr(importlib.import_module(name), "__version__", "0"))


@contextmanager
def without_greeting() -> Iterator[None]:
    """Suppress the interpreter's greeting on standard error; other output written meanwhile is passed on afterwards."""
    try:
        sys.stderr.flush()
        ours = os.dup(_STDERR)
    except (OSError, AttributeError):  # a process without standard error
        yield
        return
    with _redirecting, in_memory("stderr") as held:
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(ours, _STDERR)
            os.close(ours)
            held.seek(0)
            rest = [line for line in held.read().splitlines() if line.strip() not in _GREETINGS]
            if rest:
                os.write(_STDERR, b"\n".join([*rest, b""]))
