"""``--example-input`` as arrays for tracing a module, by position or by argument name."""

from __future__ import annotations

import inspect
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from partway.errors import InputError
from partway.units import parse_shape

Array = np.ndarray[Any, Any]
Example: TypeAlias = Any
"""A tensor or array, a sequence of such in the order of the module's arguments, or a mapping by their names."""

_SHAPE = re.compile(r"([^:]+)(?::(\w+))?")
DTYPES = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")


def read_example(texts: Sequence[str]) -> Example:
    """Each ``1x3x224x224``, ``1x16:int64``, ``x.npy`` or ``inputs.npz`` as arrays. Raises InputError."""
    if len(texts) == 1 and texts[0].lower().endswith(".npz"):
        return _npz(Path(texts[0]))
    return [_one(text) for text in texts]


def _one(text: str) -> Array:
    if text.lower().endswith(".npy"):
        return _npy(Path(text))
    found = _SHAPE.fullmatch(text.strip())
    dtype = "" if found is None else found[2] or "float32"
    shape = None if found is None else parse_shape(found[1])
    if shape is None or dtype not in DTYPES:
        raise InputError(
            f"--example-input {text!r} is neither a shape such as 1x3x224x224 or 1x16:int64 nor an .npy or .npz file"
        )
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        return rng.random(shape).astype(dtype)
    return np.zeros(shape, dtype)  # indices, masks: 0 is always one


def _npy(path: Path) -> Array:
    try:
        with path.open("rb") as file:
            return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--example-input {path} cannot be read as a numpy array ({error})") from error


def _npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"--example-input {path} cannot be read ({error}); write it with numpy.savez") from error


def in_order(example: Example, forward: Any) -> list[Any]:
    """Arrays or tensors in the order of the arguments of ``forward``. Raises InputError when names do not fit."""
    if not isinstance(example, Mapping):
        return list(example) if isinstance(example, list | tuple) else [example]
    parameters = list(inspect.signature(forward).parameters)
    values = list(example.values())
    if len(values) == 1 and not set(example) & set(parameters):
        return values
    unknown = [name for name in example if name not in parameters]
    if unknown:
        raise InputError(f"forward has no argument {unknown[0]!r}; it takes {', '.join(parameters)}")
    ordered = [name for name in parameters if name in example]
    if ordered != parameters[: len(ordered)]:
        skipped = next(name for name in parameters if name not in example)
        raise InputError(f"the example input lacks {skipped!r}; forward takes {', '.join(parameters)}")
    return [example[name] for name in ordered]
