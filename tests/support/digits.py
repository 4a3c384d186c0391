"""A drawn seven, as coverage and as pictures, and how far two digits differ."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

SEVEN = [(6, 7), (20, 7), (12, 24)]


def seven(size: int = 112, at: tuple[int, int] = (0, 0), frame: tuple[int, int] = (112, 112)) -> np.ndarray:
    """A seven of straight lines as coverage 0..1, ``size`` pixels tall and wide, placed in a frame (width, height)."""
    picture = Image.new("L", frame)
    points = [(at[0] + x * size / 28, at[1] + y * size / 28) for x, y in SEVEN]
    ImageDraw.Draw(picture).line(points, 255, max(1, size // 11), joint="curve")
    return np.asarray(picture) / 255


def grey(levels: np.ndarray) -> Image.Image:
    """Levels 0 to 255, rounded, as a grey picture."""
    return Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two digits, in parts of their ink."""
    return float(np.abs(one.astype(float) - other).sum() / max(1, other.sum()))
