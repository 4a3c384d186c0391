"""Pictures with the statistics of photographs, for measuring bytes where no real ones are given.

The dead leaves model (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001): opaque discs, the
number of each radius falling with its third power, cover each other. Each has a colour, a slope of light and a little
texture. JPEGs of them have about the size of photographs' (docs/codecs.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DISCS = 200
SMALLEST, LARGEST = 0.03, 0.5
"""Radii, as parts of the picture's larger side."""
TEXTURE, GRAIN = 4.5, 0.8
"""Deviation in levels of 0..255: of a disc's own texture, and of the camera's noise."""


def sample_picture(height: int, width: int, channels: int, seed: int) -> Array:
    """One picture, uint8 [height, width, channels]."""
    rng = np.random.default_rng(seed)
    side = max(height, width)
    picture = np.full((height, width, channels), rng.uniform(60, 190, channels), np.float32)
    texture = _texture(rng, height, width)
    for radius in _radii(rng) * side:
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        box = _around(row, radius, height), _around(column, radius, width)
        rows, columns = np.ogrid[box]
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        slope = rng.normal(0, 60 / side, 2)
        light = slope[0] * (rows - row) + slope[1] * (columns - column) + rng.uniform(0, 2) * texture[box]
        colour = rng.uniform(30, 220) + rng.normal(0, 20, channels)
        picture[box][inside] = colour + light[inside][:, None]
    picture += rng.normal(0, GRAIN, picture.shape[:2])[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def _around(centre: float, radius: float, size: int) -> slice:
    return slice(max(0, int(centre - radius)), min(size, int(centre + radius) + 2))


def _radii(rng: np.random.Generator) -> Array:
    """Radii with a density of radius**-3 between the limits, in the order in which discs are laid down."""
    low, high = SMALLEST**-2, LARGEST**-2
    return np.asarray((low - rng.uniform(0, 1, DISCS) * (low - high)) ** -0.5)


def _texture(rng: np.random.Generator, height: int, width: int) -> Array:
    """Noise whose spectrum falls with the frequency, of deviation TEXTURE."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / np.maximum(frequency, 1 / max(height, width))
    noise = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(noise / (noise.std() or 1.0) * TEXTURE)
