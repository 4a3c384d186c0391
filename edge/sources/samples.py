"""Samples from the values of a program: a picture, an array, a path, or tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from partway.edge.sources.files import Sample, open_source, sample_of_pixels, timed
from partway.errors import InputError
from partway.partitioner.plan.inputs import frame_of, shown_shape
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess

Array = np.ndarray[Any, Any]
if TYPE_CHECKING:
    from PIL.Image import Image

    Input: TypeAlias = Sample | Image | Array | str | Path | Mapping[str, Array]


def sample_of(value: object, plan: Plan, name: str) -> Sample:
    """Make a sample of a Pillow picture, an array, a path (of one picture), or a mapping of the model's input tensors.

    An array is an RGB picture of any size if it is uint8 [height, width(, channels)] and the model takes pictures.
    Otherwise it is the model's only input, with or without the axis of frames. Raises InputError on anything that does
    not fit, and names what does.
    """
    preprocess = plan.preprocess
    if isinstance(value, Sample):
        return value
    if isinstance(value, str | Path):
        return _of_path(Path(value), plan)
    if isinstance(value, Mapping):
        return _of_tensors(value, plan, name)
    if isinstance(value, np.ndarray):
        return sample_of_array(value, plan, preprocess, name)
    if hasattr(value, "convert") and hasattr(value, "size"):
        if preprocess is None:
            raise InputError(
                f"{plan.model} does not take pictures; give its input tensors ({_expected_inputs(plan)}) by name"
            )
        begun_s = perf_counter()
        pixels, geometry = preprocess.fitted(value)  # type: ignore[arg-type]
        return timed(begun_s, Sample(name, pixels, geometry=geometry))
    raise InputError(
        f"cannot infer on a {type(value).__name__}; give a picture (Pillow or uint8 array), a path, or tensors by name"
    )


def sample_of_array(array: Array, plan: Plan, preprocess: Preprocess | None, name: str) -> Sample:
    """A picture or the model's only input, as ``sample_of`` says. Raises InputError."""
    if preprocess is not None and is_picture(array):
        return sample_of_pixels(name, array[0] if array.ndim == 4 else array, preprocess)
    specs = [spec for spec in plan.frame_inputs if spec.name not in plan.examples] or list(plan.frame_inputs)
    if len(specs) != 1:
        raise InputError(f"{plan.model} has {len(specs)} inputs; give them by name ({_expected_inputs(plan)})")
    return _of_tensors({specs[0].name: array}, plan, name)


def is_picture(array: Array) -> bool:
    """Whether the array is uint8 [height, width] or [height, width, 1, 3 or 4], or a batch of one such picture."""
    if array.dtype != np.uint8:
        return False
    return array.ndim == 2 or (
        array.shape[-1:] in ((1,), (3,), (4,)) and (array.ndim == 3 or (array.ndim == 4 and len(array) == 1))
    )


def _of_path(path: Path, plan: Plan) -> Sample:
    items = open_source([str(path)], plan)
    if len(items) != 1:
        raise InputError(f"{path} holds {len(items)} frames; give one picture at a time")
    return items[0].read()


def _of_tensors(value: Mapping[str, Array], plan: Plan, name: str) -> Sample:
    return Sample(name, values=frame_of(value, plan, name))


def _expected_inputs(plan: Plan) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {shown_shape(spec)}" for spec in plan.frame_inputs)
