"""The smallest rectangle, at any angle, around points: the outline of a line of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """``centre`` [2], half its ``sides`` [2], and ``axes`` [2, 2]: the unit vectors along them."""

    centre: Array
    sides: Array
    axes: Array

    @property
    def corners(self) -> Array:
        """[4, 2] clockwise on the screen, from the upper left one."""
        first, second = self.axes * self.sides[:, None]
        points = self.centre + np.array([-first - second, first - second, first + second, -first + second])
        middle = points - self.centre
        points = points[np.argsort(np.arctan2(middle[:, 1], middle[:, 0]), kind="stable")]
        return np.roll(points, -int(points.sum(1).argmin()), 0)

    def grown(self, distance: float) -> Rectangle:
        """Each side moved outwards by ``distance``."""
        return Rectangle(self.centre, self.sides + distance, self.axes)

    def contains(self, points: Array) -> Array:
        """bool [n] for points [n, 2]; the border belongs to it."""
        return np.asarray((np.abs((points - self.centre) @ self.axes.T) <= self.sides + 1e-6).all(1))


def smallest_around(points: Array) -> Rectangle:
    """The rectangle of least area around points [n, 2], n at least 1: one of its sides lies on their convex hull."""
    hull = convex_hull(points.astype(np.float64))
    edges = np.diff(hull, axis=0, append=hull[:1])
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    along = edges[lengths > 0] / lengths[lengths > 0, None] if lengths.any() else np.array([[1.0, 0.0]])
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    spans = np.stack([hull @ along.T, hull @ across.T])
    low, high = spans.min(1), spans.max(1)
    best = int((high - low).prod(0).argmin())
    axes = np.stack([along[best], across[best]])
    middle, half = (low[:, best] + high[:, best]) / 2, (high[:, best] - low[:, best]) / 2
    return Rectangle(middle @ axes, half, axes)


def convex_hull(points: Array) -> Array:
    """Corners of the convex hull [m, 2] in order around it (Andrew's monotone chain)."""
    ordered = np.unique(points, axis=0)
    if len(ordered) < 3:
        return ordered
    return np.array(_half(ordered.tolist())[:-1] + _half(ordered[::-1].tolist())[:-1])


def _half(points: list[list[float]]) -> list[list[float]]:
    chain: list[list[float]] = []
    for x, y in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], x, y) <= 0:
            chain.pop()
        chain.append([x, y])
    return chain


def _turn(start: list[float], middle: list[float], x: float, y: float) -> float:
    return (middle[0] - start[0]) * (y - start[1]) - (middle[1] - start[1]) * (x - start[0])
