"""Measure how errors in an activation change the model's answer, with noise channel by channel and band by band.

To first order an error e in the channels of one frequency costs e' G e in squared change of the answer. G is the mean
of J'J over samples, J the answer's derivative; the same noise in one channel after another shows the columns of J.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from partway.proto.codecs.transform.dct_klt import Basis, bands

Array = np.ndarray[Any, Any]
Response = Callable[[Array, int], Array]
"""What the model answers, float [n, numbers], when these [n, *shape] replace the value in this calibration frame."""
FIRST_OF_GROUP = (0, 1, 3, 6, 10, 16)
"""The smallest u + v of each group of frequencies that shares a matrix; bands begin there as well."""
NOISE = 0.2
"""Deviation of the noise in deviations of the tensor, if it were spread over all channels and frequencies."""
MOST_FRAMES = 24
LEAST_FRAMES = 4
MOST_S = 20.0
"""The most seconds for the trials of one tensor."""


def groups_of(height: int, width: int) -> Array:
    """The group of each band, uint8 [bands]."""
    band = bands(height, width)
    sums = np.add.outer(np.arange(height), np.arange(width))
    first = np.array([sums[band == number].min() for number in range(int(band.max()) + 1)])
    return (np.searchsorted(FIRST_OF_GROUP, first, side="right") - 1).astype(np.uint8)


def measured_sensitivity(
    plain: Basis, samples: Array, response: Response, finish: Callable[[Array], Array]
) -> Array | None:
    """G, float64 [groups, channels, channels], per unit of noise; None where trying would take too long.

    ``plain`` keeps channels as they are; ``finish`` rounds values as decoding would.
    """
    groups = groups_of(*plain.size[:2])
    count, channels = int(groups[-1]) + 1, plain.size[2]
    begun_s = perf_counter()
    answers = response(samples[:1], 0)
    answers = response(samples[:1], 0)
    one_s = (perf_counter() - begun_s) / 2
    frames = min(MOST_FRAMES, len(samples), int(MOST_S / max(one_s * channels * count, 1e-9)))
    if frames < LEAST_FRAMES:
        return None
    rng = np.random.default_rng(0)
    total = np.zeros((count, channels, channels))
    deviation = float(np.std(samples, dtype=np.float64)) or 1.0
    for number in np.linspace(0, len(samples) - 1, frames).astype(int):
        answers = response(samples[number][None], int(number))
        for group in range(count):
            noise, energy = _noise(plain, groups[plain.bands] == group, deviation, rng)
            changed = np.asarray(response(finish(samples[number] + noise), int(number)), np.float64) - answers
            changed -= changed.mean(1, keepdims=True)  # a constant added to all scores changes no answer
            total[group] += changed @ changed.T / (energy * frames)
    return total if np.isfinite(total).all() else None


def _noise(plain: Basis, mask: Array, deviation: float, rng: np.random.Generator) -> tuple[Array, float]:
    """One pattern [channels, *shape] in each channel alone, at the frequencies of a mask, and its energy."""
    channels = plain.size[2]
    energy = (NOISE * deviation) ** 2 * channels * mask.size * float(np.sqrt(mask.mean()))
    pattern = rng.standard_normal(mask.size) * mask
    pattern *= np.sqrt(energy / np.square(pattern).sum())
    zero = Basis(plain.layout, plain.shape, np.zeros(channels, np.float32), None)
    patterns = np.zeros((channels, *plain.shape), np.float32)
    for channel in range(channels):
        coefficients = np.zeros((mask.size, channels), np.float32)
        coefficients[:, channel] = pattern
        patterns[channel] = zero.inverse(coefficients)
    return patterns, energy
