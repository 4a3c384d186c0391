"""Planes of a model's input brought to the picture: masks and maps of scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from partway.tasks.interface import Geometry

Array = np.ndarray[Any, Any]
Window = tuple[int, int, int, int]


def identity(size: tuple[int, int]) -> Geometry:
    """A picture that is the input itself, of ``size`` (height, width)."""
    return Geometry(size[1], size[0], size[1], size[0])


def window_of(box: Array, geometry: Geometry) -> Window:
    """Left, top, right, bottom (exclusive) of the whole pixels of the picture that a box [4] touches."""
    limits = np.array([geometry.width, geometry.height, geometry.width, geometry.height])
    whole = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]).clip(0, limits).astype(int)
    return int(whole[0]), int(whole[1]), int(whole[2]), int(whole[3])


def nearest(plane: Array, geometry: Geometry) -> Array:
    """``plane`` [h, w] over the model's input as [height, width] of the picture, the nearest value."""
    rows, columns = _places(plane, geometry, (0, 0, geometry.width, geometry.height))
    return np.asarray(plane[np.rint(rows).astype(int)[:, None], np.rint(columns).astype(int)[None]])


def smooth(plane: Array, geometry: Geometry, window: Window | None = None) -> Array:
    """``plane`` [h, w] over the model's input as the picture's pixels in ``window``, linear between its values."""
    rows, columns = _places(plane, geometry, window or (0, 0, geometry.width, geometry.height))
    upper, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    lower, right = np.minimum(upper + 1, plane.shape[0] - 1), np.minimum(left + 1, plane.shape[1] - 1)
    down = (rows - upper).astype(np.float32)[:, None]
    across = (columns - left).astype(np.float32)[None]
    lines = plane[upper] * (1 - down) + plane[lower] * down
    return np.asarray(lines[:, left] * (1 - across) + lines[:, right] * across)


def _places(plane: Array, geometry: Geometry, window: Window) -> tuple[Array, Array]:
    """Rows and columns of ``plane`` for the middles of the picture's pixels in the window."""
    left, top, right, bottom = window
    x = (np.arange(left, right) + 0.5) * geometry.scale_x + geometry.left
    y = (np.arange(top, bottom) + 0.5) * geometry.scale_y + geometry.top
    columns = x * plane.shape[1] / geometry.input_width - 0.5
    rows = y * plane.shape[0] / geometry.input_height - 0.5
    return rows.clip(0, plane.shape[0] - 1), columns.clip(0, plane.shape[1] - 1)
