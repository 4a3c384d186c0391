"""What a head is: it reads a model's outputs as candidate boxes, and tells whether outputs look like its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.tasks.interface import Guess

Array = np.ndarray[Any, Any]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes of one frame before thresholds: float [n, 4] left, top, right, bottom in pixels of the model's input.

    ``scores`` [n, classes], or [n, 1] together with ``classes`` [n]. ``points`` [n, k, 3] are x, y and visibility.
    ``extras`` [n, m] are further channels of each candidate. ``final``: the model has suppressed overlaps itself.
    """

    boxes: Array
    scores: Array
    classes: Array | None = None
    points: Array | None = None
    extras: Array | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a head is given besides the outputs.

    ``values``: output names by role. ``options``: the plan's ``output`` entry. ``known_size``: the input's (height,
    width), None if neither the frame nor the plan says it.
    """

    values: Mapping[str, str]
    options: Mapping[str, Any]
    known_size: Size | None

    @property
    def size(self) -> Size:
        """(height, width) of the input. Raises InputError if it is not known."""
        if self.known_size is None:
            raise InputError(
                "boxes of this head need the input's size; give `size` [height, width] in the output entry"
            )
        return self.known_size


@dataclass(frozen=True, slots=True)
class Head:
    """One head. ``roles`` are the outputs that it reads; an entry of the plan names them under ``values``.

    ``read`` raises InputError for outputs of another shape. ``recognise(outputs, size)`` gives every entry of this
    head that outputs of one run allow. ``score`` and ``iou`` are its usual thresholds.
    """

    roles: Sequence[str]
    read: Callable[[Mapping[str, Array], Reading], Candidates]
    recognise: Callable[[Mapping[str, Array], Size | None], list[Guess]]
    score: float = 0.25
    iou: float = 0.45
    labels: Sequence[str] = ()


def guess(head: str, values: Mapping[str, str], size: Size | None, reason: str, certain: bool, **more: Any) -> Guess:
    """A guess that a model is a detector with this head."""
    entry: dict[str, Any] = {"kind": "detect", "head": head, "values": dict(values)}
    if size is not None:
        entry["size"] = list(size)
    return Guess({**entry, **more}, reason, certain)


def rows(array: Array) -> Array | None:
    """An output of a run as [n, m] without its batch axis; None if it has other axes."""
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    return array if array.ndim == 2 else None
