"""Find an activation's channel axis, and order its values channel by channel.

Neighbours within a channel resemble each other, values of different channels do not. Compressors gain when channels
lie together. A shape does not always tell the channel axis, so a byte before the compressed data names it, unless the
decoder derives the same axis from the shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from partway.errors import CodecError

Array = np.ndarray[Any, Any]
SAMPLED = 10
"""Places along each axis that are compared to find the channels of a tensor whose shape is ambiguous."""
_MOST_AXES = 16
"""A first byte below this is an axis: Zstandard frames begin with larger ones."""


def implied_axis(shape: tuple[int, ...]) -> int:
    """The channel axis of blobs without an axis byte: 1, or the last of four axes if it is larger."""
    return len(shape) - 1 if len(shape) == 4 and shape[3] > shape[1] else min(1, len(shape) - 1)


def channel_axis(array: Array) -> int:
    """The axis that counts channels: 1, or 3 of four.

    Of [batch, a, b, c] the two equal sizes are height and width. Where none or all are equal, the channels are on the
    axis along which neighbours differ more, in a small part of the first sample.
    """
    if array.ndim != 4:
        return min(1, array.ndim - 1)
    _, first, middle, last = array.shape
    if (middle == last) != (first == middle):
        return 1 if middle == last else 3
    return 3 if _differs_more_along_last(array) else 1


def _differs_more_along_last(array: Array) -> bool:
    begins = [max(0, (size - SAMPLED) // 2) for size in array.shape[1:]]
    part = array[0][tuple(slice(begin, begin + SAMPLED) for begin in begins)].astype(np.float64)
    if part.shape[0] < 2 or part.shape[2] < 2:
        return False  # axis 1 then leaves the values as they lie
    with np.errstate(all="ignore"):  # infinities have no difference; then axis 1 serves
        along_last = np.abs(part[:, :, 1:] - part[:, :, :-1])
        along_first = np.abs(part[1:] - part[:-1])
        return bool(along_last.sum() * along_first.size > along_first.sum() * along_last.size)


def by_channel(array: Array, axis: int) -> Array:
    """The values with the channels first."""
    return np.moveaxis(array, axis, 0) if array.ndim > 1 and axis else array


def from_channels(values: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Inverse of by_channel, for flat values of an array of ``shape``."""
    if len(shape) < 2:
        return values.reshape(shape)
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(values.reshape(moved), 0, axis))


def axis_mark(axis: int, shape: tuple[int, ...]) -> bytes:
    """The axis byte, or nothing where the shape implies the axis."""
    return b"" if axis == implied_axis(shape) else bytes([axis])


def read_axis(body: memoryview, shape: tuple[int, ...]) -> tuple[int, memoryview]:
    """The channel axis and the bytes behind its mark. Raises CodecError when there is no such axis."""
    if not len(body) or body[0] >= _MOST_AXES:
        return implied_axis(shape), body
    axis = body[0]
    if axis >= len(shape):
        raise CodecError(f"a coded tensor of {len(shape)} axes has its channels on axis {axis}")
    return axis, body[1:]
