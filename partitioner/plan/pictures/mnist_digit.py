"""Any picture of one digit in the form of MNIST: light on dark, fit to 20 x 20, centred by mass in 28 x 28.

The form is that of Y. LeCun, C. Cortes, C. Burges, "The MNIST database". What already has it passes through
untouched; anything else is first reduced to its ink (see ``digit_ink``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

SIDE = 28
BOX = 20
CENTRE = 14.0
"""Where MNIST puts the centre of mass, in pixel indices from 0."""

_CENTRE_TOLERANCE = 1.5
_DARKEST_PEAK = 128
_LIGHTEST_BORDER = 16
"""Bounds that every MNIST image keeps easily: centre within 0.52, peak from 254, mean border below 9."""

_THINNEST_STROKE = 2.2
"""In pixels of the 20 x 20 box; of MNIST's own digits some 5 % are thinner."""

_BORDER_PIXELS = 4 * SIDE - 4


def digit_from_image(image: Image.Image) -> Array:
    """uint8 [28, 28], light on dark, of any Pillow picture of one digit: all zeros where no ink is found."""
    if image.mode == "L" and image.size == (SIDE, SIDE):
        pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(SIDE, SIDE)
        if looks_like_mnist(pixels):
            return pixels.copy()
    return _normalised(image)


def looks_like_mnist(pixels: Array) -> bool:
    """Whether uint8 [28, 28] pixels are light on dark and centred by mass, as every MNIST image is."""
    mass, down, right, border = (_MEASURES @ pixels.ravel().astype(np.float32)).tolist()
    centred = max(abs(down), abs(right)) <= _CENTRE_TOLERANCE * mass
    return centred and border <= _LIGHTEST_BORDER and mass > 0 and int(pixels.max()) >= _DARKEST_PEAK


def _measures() -> Array:
    """Rows that give, of 784 pixels: their sum, the two moments about the centre, the mean of the border."""
    down, right = np.mgrid[:SIDE, :SIDE] - CENTRE
    border = np.ones((SIDE, SIDE)) / _BORDER_PIXELS
    border[1:-1, 1:-1] = 0
    return np.stack([np.ones((SIDE, SIDE)), down, right, border]).reshape(4, -1).astype(np.float32)


_MEASURES = _measures()


def _normalised(image: Image.Image) -> Array:
    from partway.partitioner.plan.pictures.mnist_ink import greys, ink_of

    candidates = greys(image) if all(image.size) else []
    for grey in candidates:
        pixels = np.rint(grey).astype(np.uint8)
        if pixels.shape == (SIDE, SIDE) and looks_like_mnist(pixels):
            return pixels
    ink = ink_of(candidates)
    return np.zeros((SIDE, SIDE), np.uint8) if ink is None else _centred(_boxed(_cropped(ink)))


def _cropped(ink: Array) -> Array:
    solid = ink > 0.5 * ink.max()
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _boxed(ink: Array) -> Array:
    """Cropped ink (floats 0..1) fitted to the 20 x 20 box, hairlines thickened: uint8, peak 255."""
    target = _THINNEST_STROKE * max(ink.shape) / BOX
    radius = max(0, round((target - _stroke(ink > 0.5 * ink.max())) / 2))
    thick = _dilated(np.pad(ink, radius), radius)
    height, width = (max(1, round(size * BOX / max(thick.shape))) for size in thick.shape)
    small = np.asarray(Image.fromarray(thick).resize((width, height), Image.Resampling.BICUBIC))
    fitted: Array = np.rint(small.clip(0, None) * (255 / small.max())).astype(np.uint8)
    return fitted


def _stroke(solid: Array) -> float:
    """Rough width of the strokes in pixels: area over half the outline, less one: the outline is ink too."""
    around = np.pad(solid, 1)
    inner = solid & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    area = int(solid.sum())
    return max(1.0, 2 * area / (area - int(inner.sum())) - 1)


def _dilated(ink: Array, radius: int) -> Array:
    """Every stroke ``radius`` pixels wider on each side; diamonds and squares in turn make round ends."""
    grown: Array = ink
    for step in range(radius):
        padded = np.pad(grown, 1)
        shifts = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
        if step % 2:
            shifts += [padded[:-2, :-2], padded[:-2, 2:], padded[2:, :-2], padded[2:, 2:]]
        grown = np.maximum.reduce([grown, *shifts])
    return grown


def _centred(small: Array) -> Array:
    """Placed so that the centre of mass falls on the middle of 28 x 28, as far as the frame allows."""
    (height, width), mass = small.shape, int(small.sum())
    down = float(small.sum(axis=1) @ np.arange(height)) / mass
    right = float(small.sum(axis=0) @ np.arange(width)) / mass
    top = min(max(0, round(CENTRE - down)), SIDE - height)
    left = min(max(0, round(CENTRE - right)), SIDE - width)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[top : top + height, left : left + width] = small
    return pixels
