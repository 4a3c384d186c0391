"""Transform an activation into weakly correlated coefficients, and back.

Each channel's map goes through a two-dimensional cosine transform (Ahmed, Natarajan and Rao 1974); at each frequency
the channels are mixed into components by a matrix from calibration, one for all frequencies or one per group of bands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LAYOUTS = ("NCHW", "NHWC")
MAX_SIDE = 512
_EDGES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 51, 64, 81, 102, 128, 161, 203, 256)


def bands(height: int, width: int) -> Array:
    """The band, uint8 [height, width], of each frequency (u, v): by u + v, in widening steps."""
    sums = np.add.outer(np.arange(height), np.arange(width))
    number = np.searchsorted(_EDGES, sums, side="right")
    return np.unique(number, return_inverse=True)[1].reshape(height, width).astype(np.uint8)


def cosines(size: int) -> Array:
    """The orthonormal DCT-II, float32 [size, size], one basis vector a row."""
    k, i = np.arange(size)[:, None], np.arange(size)[None]
    rows = np.cos(np.pi * (2 * i + 1) * k / (2 * size)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.astype(np.float32)


@dataclass(frozen=True)
class Basis:
    """From one sample, [channels, height, width] or [height, width, channels], to its coefficients and back.

    ``mean`` float32 [channels]. ``vectors``: None to keep channels as they are; float32 [channels, components] with
    orthonormal columns; or, with ``groups``, uint8 [bands], rising from 0, the group of each band, float32
    [groups, channels, components] with independent columns. Ranks below 3 after the batch stand for height and width
    of one.

    Raises ValueError (LinAlgError) when columns are not independent.
    """

    layout: str
    shape: tuple[int, ...]
    mean: Array
    vectors: Array | None
    groups: Array | None = None

    def __post_init__(self) -> None:
        if self.groups is not None:
            _ = self._matrices

    @cached_property
    def size(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        shape = self.shape
        if len(shape) == 3:
            return (shape[1], shape[2], shape[0]) if self.layout == "NCHW" else (shape[0], shape[1], shape[2])
        return (shape[0], 1, shape[1]) if len(shape) == 2 else (1, 1, math.prod(shape))

    @cached_property
    def bands(self) -> Array:
        """The band of each position, uint8 [positions]: row by row, or in groups from low frequencies to high."""
        flat = bands(*self.size[:2]).reshape(-1)
        return flat if self.groups is None else flat[self._order]

    def by_coefficient(self, table: Array) -> Array:
        """A table [components, bands] spread over all coefficients [positions, components], flat."""
        return np.ascontiguousarray(table.T[self.bands]).reshape(-1)

    def forward(self, sample: Array) -> Array:
        """Coefficients, float32 [positions, components], of one sample of ``shape``."""
        height, width, channels = self.size
        planes = sample.transpose(1, 2, 0) if self._channels_first else sample
        values: Array = planes.reshape(height * width, channels) - self.mean
        if self.groups is None and self.vectors is not None:
            values = values @ self.vectors
        rows, columns = self._cosines
        if height > 1:
            values = rows @ values.reshape(height, -1)
        if width > 1:
            values = columns @ values.reshape(height, width, -1)
        values = values.reshape(height * width, -1)
        return values if self.groups is None else self._mixed(values.take(self._order, 0), analysis=True)

    def inverse(self, coefficients: Array) -> Array:
        """Inverse of forward: float32 of ``shape``."""
        height, width, channels = self.size
        values = coefficients.reshape(height * width, -1)
        if self.groups is not None:
            values = self._mixed(values, analysis=False).take(self._places, 0)
        rows, columns = self._cosines
        if width > 1:
            values = columns.T @ values.reshape(height, width, -1)
        if height > 1:
            values = rows.T @ values.reshape(height, -1)
        values = values.reshape(height * width, -1)
        if self.groups is None and self.vectors is not None:
            values = values @ self.vectors.T
        planes = values + self.mean
        if self._channels_first:
            return np.ascontiguousarray(planes.reshape(height, width, channels).transpose(2, 0, 1))
        return np.asarray(planes.reshape(self.shape))

    def _mixed(self, values: Array, *, analysis: bool) -> Array:
        """Channels to components, or back, group by group."""
        mixed = np.empty_like(values)
        for (begin, end), (analysing, synthesising) in zip(self._spans, self._matrices, strict=True):
            np.matmul(values[begin:end], analysing if analysis else synthesising, out=mixed[begin:end])
        return mixed

    @cached_property
    def _matrices(self) -> list[tuple[Array, Array]]:
        """Per group: what makes components of channels, and its inverse; for rows, so both transposed."""
        assert self.vectors is not None
        found = []
        for vectors in self.vectors:
            inverse = np.linalg.inv(vectors.astype(np.float64))
            if not np.abs(inverse).max() < 1e6:
                raise np.linalg.LinAlgError("vectors that are hardly independent")
            found.append((np.ascontiguousarray(inverse.T, np.float32), np.ascontiguousarray(vectors.T, np.float32)))
        return found

    @cached_property
    def _order(self) -> Array:
        """Where the position at each place of the groups' order lies, row by row."""
        return np.argsort(bands(*self.size[:2]).reshape(-1), kind="stable")

    @cached_property
    def _places(self) -> Array:
        return np.argsort(self._order)

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """First position and the one after the last, per group."""
        assert self.groups is not None
        assert self.vectors is not None
        of_each = self.groups[self.bands]
        edges = np.searchsorted(of_each, np.arange(len(self.vectors) + 1)).tolist()
        return list(pairwise(edges))

    @cached_property
    def _cosines(self) -> tuple[Array, Array]:
        return cosines(self.size[0]), cosines(self.size[1])

    @property
    def _channels_first(self) -> bool:
        return self.layout == "NCHW" and len(self.shape) == 3
