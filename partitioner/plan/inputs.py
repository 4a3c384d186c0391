"""Frames as the tensors that a model reads: given ones checked and completed, random ones made.

A frame has each input in the model's own shape. Where the first dimension counts frames, one frame has 1 there, and may
leave it out. Another input (a state ``[2, batch, 128]``, a scalar) has no dimension for frames: several frames of it
are given along a new first axis, or one value serves all frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.proto.tensors import TensorSpec, as_type_of

Array = np.ndarray[Any, Any]
MOST_EXAMPLE_NUMBERS = 1 << 16
"""A plan keeps its examples as JSON; larger arrays do not belong there."""
SMALL_INTEGERS = 2
"""Random integers stay below this, unless they are of one byte: indices and counts must be legal."""


def frame_of(values: Mapping[str, Any], plan: Plan, name: str) -> dict[str, Array]:
    """The inputs of one frame in the model's types and shapes; the plan's examples complete it.

    ``name`` is the frame's. Raises InputError, which names it, for what is missing or does not fit.
    """
    given = _complete(values, plan, name)
    brought = [spec for spec in plan.crossing(0) if spec.name in given]  # all but the state, or with a state of its own
    return {spec.name: _one(as_type_of(spec, np.asarray(given[spec.name]), name), spec, name) for spec in brought}


def frames_of(arrays: Mapping[str, Array], plan: Plan, name: str) -> list[dict[str, Array]]:
    """The frames in arrays that hold one or several, as views; the plan's examples complete each.

    ``name`` is the file's. Numbers keep their types, see :func:`~partway.proto.tensors.as_type_of`. Raises InputError,
    which names the file, for what is missing or does not fit.
    """
    given = _complete(arrays, plan, name)
    carried = sorted(link.input for link in plan.state if link.input in arrays)
    if carried:
        raise InputError(f"{name} holds {carried[0]}, which is carried from frame to frame; leave it out")
    columns = {spec.name: _column(given[spec.name], spec, name, spec.name in arrays) for spec in plan.frame_inputs}
    count = min((len(column) for column in columns.values() if isinstance(column, list)), default=1)
    return [
        {name: column[index] if isinstance(column, list) else column for name, column in columns.items()}
        for index in range(count)
    ]


def random_frame(plan: Plan, rng: np.random.Generator) -> dict[str, Array]:
    """Random inputs of the usual size, a batch of one; the plan's examples where it has some."""
    examples = example_values(plan)
    return {
        spec.name: examples[spec.name] if spec.name in examples else random_tensor(rng, spec.dtype, spec.frame_shape())
        for spec in plan.frame_inputs
    }


def random_tensor(rng: np.random.Generator, dtype: str, shape: Sequence[int | None]) -> Array:
    """Standard normal floats, or uniform integers over the middle of the dtype's range; dynamic dimensions are 1."""
    size = [1 if dim is None else dim for dim in shape]
    kind = np.dtype(dtype)
    if np.issubdtype(kind, np.floating):
        return np.asarray(rng.standard_normal(size)).astype(kind)
    if kind == np.bool_:
        return np.asarray(rng.integers(0, 2, size)).astype(kind)
    high = min(np.iinfo(kind).max, 127 if kind.kind == "i" else 255) if kind.itemsize == 1 else SMALL_INTEGERS
    return np.asarray(rng.integers(max(np.iinfo(kind).min, -high), high, size)).astype(kind)


def example_values(plan: Plan) -> dict[str, Array]:
    """The plan's examples as arrays of the inputs' types. Raises InputError on a damaged entry."""
    try:
        return {name: _example(plan.tensors[name], entry) for name, entry in plan.examples.items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the plan's examples are damaged ({error}); write it again with `partway plan`") from error


def examples_to_json(examples: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """The ``examples`` entry of a plan: by input its shape and numbers, or the one number that all equal.

    Raises InputError for an example of no input, or that does not fit its input or is too large.
    """
    by_name = {spec.name: spec for spec in specs}
    found: dict[str, Any] = {}
    for name, given in examples.items():
        if name not in by_name:
            raise InputError(f"--example {name}: the model has no input of this name; it has {', '.join(by_name)}")
        spec, numbers = by_name[name], np.asarray(given)
        filled = np.broadcast_to(numbers, spec.frame_shape()) if numbers.ndim == 0 else numbers
        array = _one(as_type_of(spec, filled, "--example"), spec, "--example")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"--example {name} holds infinity or NaN; give finite numbers")
        alike = array.size > 0 and bool((array == array.flat[0]).all())
        if array.size > MOST_EXAMPLE_NUMBERS and not alike:
            raise InputError(f"--example {name} has {array.size} numbers, a plan keeps {MOST_EXAMPLE_NUMBERS} at most")
        found[name] = {"shape": list(array.shape), "numbers": array.reshape(-1)[: 1 if alike else None].tolist()}
    return found


def _example(spec: TensorSpec, entry: Mapping[str, Any]) -> Array:
    numbers, shape = np.asarray(entry["numbers"], spec.dtype), tuple(int(size) for size in entry["shape"])
    array = np.array(np.broadcast_to(numbers.reshape(()), shape) if numbers.size == 1 else numbers.reshape(shape))
    if not spec.accepts(array.shape, array.dtype.name) or array.size > spec.most_elements:
        raise ValueError(f"{spec.name} must be {shown_shape(spec)}")
    return array


def _complete(values: Mapping[str, Any], plan: Plan, name: str) -> dict[str, Any]:
    given = {**example_values(plan), **values} if plan.examples else dict(values)
    missing = [spec for spec in plan.frame_inputs if spec.name not in given]
    if missing:
        lacks = ", ".join(spec.name for spec in missing)
        takes = ", ".join(f"{spec.name} {spec.dtype} {shown_shape(spec)}" for spec in plan.frame_inputs)
        holds = f"; it holds {', '.join(values)}" if values else ""
        raise InputError(f"{name} lacks the model's input {lacks}{holds}; {plan.model} takes {takes}")
    return given


def _counts_frames(spec: TensorSpec) -> bool:
    """Whether the first dimension of an input is there for frames."""
    return spec.batch_first or spec.shape[:1] == (1,)


def _one(array: Array, spec: TensorSpec, name: str) -> Array:
    """One frame's input in the model's own shape; a dimension of frames may be missing, a scalar may have one of 1."""
    shaped = array
    if array.ndim == len(spec.shape) - 1 and _counts_frames(spec):
        shaped = array[None]
    elif array.shape == (1,) and spec.shape == ():
        shaped = array.reshape(())
    if not _fits(shaped, spec):
        raise InputError(f"{name}: {spec.name} must be {shown_shape(spec)} (one frame), not {list(shaped.shape)}")
    return shaped if shaped.flags.c_contiguous else np.ascontiguousarray(shaped)


def _fits(array: Array, spec: TensorSpec) -> bool:
    return spec.accepts(array.shape, array.dtype.name) and (array.shape[:1] == (1,) or not spec.batch_first)


def _column(array: Array, spec: TensorSpec, name: str, given: bool) -> list[Array] | Array:
    """The input in each of several frames, or the one that serves all frames."""
    if not np.can_cast(array.dtype, np.float64, "same_kind"):
        raise InputError(f"{name}: {spec.name} must be numbers, not {array.dtype}")
    if not given:
        return array
    typed = replace(spec, dtype=array.dtype.name)
    if array.ndim == len(spec.shape) and not _counts_frames(spec):
        if _fits(array, typed):
            return array
    elif array.ndim == len(spec.shape) + 1:
        if all(_fits(frame, typed) for frame in array[:1]):
            return [array[at, ...] for at in range(len(array))]
    elif array.ndim == len(spec.shape) and all(_fits(array[at : at + 1], typed) for at in range(min(1, len(array)))):
        return [array[at : at + 1] for at in range(len(array))]
    raise InputError(f"{name}: {spec.name} must be {_shown_column(spec)}, not {_shown_found(array, spec)}")


def _shown_column(spec: TensorSpec) -> str:
    if _counts_frames(spec):
        return f"[{', '.join(['frames', *map(_side, spec.shape[1:])])}]"
    inner = ", ".join(map(_side, spec.shape))
    return f"[{inner}], or [{', '.join(['frames', *map(_side, spec.shape)])}]"


def _shown_found(array: Array, spec: TensorSpec) -> str:
    return f"{list(array.shape[1:])} a frame" if _counts_frames(spec) and array.ndim else str(list(array.shape))


def shown_shape(spec: TensorSpec) -> str:
    """The shape of one frame for people; ``?`` for an open size."""
    sides = [1 if axis == 0 and spec.batch_first else size for axis, size in enumerate(spec.shape)]
    return f"[{', '.join(map(_side, sides))}]"


def _side(size: int | None) -> str:
    return "?" if size is None else str(size)
