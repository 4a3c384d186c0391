"""The task ``tensors``: outputs of which nothing is known. They are passed on as they are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.tasks.interface import Geometry, Guess, OutputSpec, TaskEntry

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Tensors:
    """The outputs by name, as the model made them."""

    outputs: Mapping[str, Array]

    def to_json(self) -> dict[str, Any]:
        """``outputs``: dtype, shape and base64 of the little-endian values in row-major order, by name."""
        return {"outputs": {name: _encoded(np.asarray(array)) for name, array in self.outputs.items()}}

    @property
    def line(self) -> str:
        """Names and shapes."""
        return ", ".join(f"{name} {list(array.shape)}" for name, array in self.outputs.items())


class RawTensors:
    """Passes outputs on."""

    name = "tensors"

    def decode(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Tensors:
        """The outputs."""
        return Tensors(outputs)

    def agreement(self, result: Tensors, reference: Tensors) -> float:
        """1 minus the relative error over all outputs (Frobenius norm), at least 0."""
        error = norm = 0.0
        for name, right in reference.outputs.items():
            found = np.asarray(result.outputs[name], np.float64)
            wanted = np.asarray(right, np.float64)
            if found.shape != wanted.shape:
                return 0.0
            error += float(np.sum((found - wanted) ** 2))
            norm += float(np.sum(wanted**2))
        return 1.0 if error == 0 else max(0.0, 1 - (error / norm) ** 0.5) if norm else 0.0

    def draw(self, picture: Image, result: Tensors) -> Image:
        """The picture as it is: nothing is known to draw."""
        return picture.convert("RGB")


def _encoded(array: Array) -> dict[str, Any]:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data = b64encode(np.ascontiguousarray(little).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _make(output: Mapping[str, Any], outputs: Sequence[OutputSpec]) -> RawTensors:
    return RawTensors()


def _recognise(outputs: Mapping[str, Array], input_size: tuple[int, int] | None) -> Guess | None:
    return None


ENTRY = TaskEntry(_make, _recognise, "outputs as they are")
