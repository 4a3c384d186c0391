"""Masks as run lengths, in COCO's uncompressed form: column by column, first the number of false pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from partway.errors import InputError

Array = np.ndarray[Any, Any]


def encoded(mask: Array) -> list[int]:
    """Lengths of the runs of a bool mask [height, width]: false, true, false, …, down each column in turn."""
    flat = np.asarray(mask, bool).ravel(order="F")
    if not flat.size:
        return []
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], changes, [flat.size]])
    return [*([0] if flat[0] else []), *np.diff(bounds).tolist()]


def decoded(counts: Sequence[int], size: tuple[int, int]) -> Array:
    """The mask [height, width]. Raises InputError if the lengths do not add up to it."""
    if min(counts, default=0) < 0 or sum(counts) != size[0] * size[1]:
        raise InputError(f"run lengths of {sum(counts)} pixels do not make a mask of {size[0]} x {size[1]}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(size, order="F")
