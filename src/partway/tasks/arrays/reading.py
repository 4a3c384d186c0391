"""Takes a model's outputs by name, with the axes that a task reads, and numbers from a plan's ``output`` entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from partway.errors import InputError

Array = np.ndarray[Any, Any]
AGAIN = "write the plan again with `partway plan`"


def taken(outputs: Mapping[str, Array], name: str, axes: int, last: int | None = None) -> Array:
    """The output ``name`` as real numbers with ``axes`` axes; leading axes of one are dropped, missing ones added.

    ``last`` is the size that the last axis must have. Raises InputError if the output is missing or does not fit.
    """
    if name not in outputs:
        raise InputError(f"the model has no output {name!r}, only {', '.join(outputs)}; {AGAIN}")
    array = np.asarray(outputs[name])
    shape = array.shape
    if array.dtype.kind not in "fiub":
        raise InputError(f"output {name!r} is {array.dtype}, the task reads numbers; use `--task tensors`")
    while array.ndim > axes and array.shape[0] == 1:
        array = array[0]
    if array.ndim < axes:
        array = array.reshape((1,) * (axes - array.ndim) + array.shape)
    if array.ndim > axes or (last is not None and array.shape[-1] != last):
        wanted = f"{axes} axes without the batch" + (f", the last of {last}" if last is not None else "")
        raise InputError(f"output {name!r} has shape {list(shape)}, the task reads {wanted}; {AGAIN}")
    return array if array.dtype.kind == "f" and array.dtype != np.float16 else array.astype(np.float32)


def same_rows(arrays: Mapping[str, Array]) -> int:
    """The length of the first axis that all have. Raises InputError if they differ."""
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        lengths = ", ".join(f"{name!r} {length}" for name, length in rows.items())
        raise InputError(f"outputs that belong together differ in length ({lengths}); {AGAIN}")
    return next(iter(rows.values()), 0)


def values_of(output: Mapping[str, Any], roles: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Which output plays which role: ``values`` of the plan's entry, else the model's outputs in their order.

    An only role may be given as ``value``. Raises InputError if a role is missing or names no output.
    """
    given = dict(output.get("values") or ({roles[0]: output["value"]} if output.get("value") else {}))
    if not given and len(names) >= len(roles):
        given = dict(zip(roles, names, strict=False))
    for role in roles:
        if given.get(role) not in names:
            raise InputError(
                f"the plan's output entry names no output for {role!r} (outputs: {', '.join(names)}); {AGAIN}"
            )
    return {role: str(name) for role, name in given.items()}


def number(output: Mapping[str, Any], key: str, default: float, least: float = 0.0, most: float = 1.0) -> float:
    """A number of the plan's ``output`` entry. Raises InputError if it is none, or out of range."""
    value = output.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InputError(f"the plan's output entry has {key} {value!r}, which is no number; {AGAIN}")
    if not least <= value <= most:
        raise InputError(f"{key} {value:g} must be between {least:g} and {most:g}")
    return float(value)


def size_of(output: Mapping[str, Any]) -> tuple[int, int] | None:
    """``size`` of the plan's entry: (height, width) of the model's input. Raises InputError if it is damaged."""
    size = output.get("size")
    if size is None:
        return None
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise InputError(f"the plan's output entry has size {size!r}, not [height, width]; {AGAIN}")
    return size[0], size[1]


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))


def softmax(values: Array) -> Array:
    """Probabilities along the last axis; none of infinite values."""
    with np.errstate(invalid="ignore"):
        powers = np.exp(values - np.max(values, -1, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(-1, keepdims=True))


def are_shares(values: Array) -> bool:
    """True if there are values, and each is a finite number of 0 to 1."""
    return bool(values.size and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1)
