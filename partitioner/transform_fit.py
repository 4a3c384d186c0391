"""Fit transform coding to one tensor: the basis, where errors matter, and the statistics, from calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partway.proto.grouping import SEGMENTS, segment_of
from partway.proto.prefix_code import code_lengths
from partway.proto.transform import Basis, Transform, bands

Array = np.ndarray[Any, Any]
MOST_CHANNELS = 512
POSITIONS_PER_CHANNEL = 4
"""Fewer samples than this per channel do not tell a basis from chance."""
PROBES = 40
"""Samples on which noise is tried."""
NOISE = 0.2
"""Deviation of that noise, if it were spread over everything, in deviations of the tensor."""
STRENGTH = 0.8
"""How far steps follow sensitivity: 1 would equalise what each group costs, 0 ignore it."""
SPREAD = 3.0
"""Steps differ from each other by at most this factor, either way."""

Cost = Callable[[Array, Sequence[int]], float]
"""Mean cost for the answer when these decoded samples [n, *shape] replace the calibration samples of these numbers."""


@dataclass(frozen=True)
class Fit:
    """Everything about a tensor that does not depend on the quality.

    ``variance`` float64 [components, bands]: mean square of coefficients. ``weights`` float32 [components, bands]:
    relative steps, mean logarithm about zero.
    """

    dtype: str
    basis: Basis
    coefficients: Array
    weights: Array
    deviation: float
    low: float
    high: float

    @cached_property
    def variance(self) -> Array:
        """Mean squares, float64 [components, bands], shared among the frequencies of a band."""
        flat = np.square(self.coefficients, dtype=np.float64).mean(0)
        return np.asarray(by_band(flat, bands(*self.basis.size[:2])).T)

    def transform(self, name: str, relative_step: float) -> Transform:
        """The codec whose steps are, on average, ``relative_step`` deviations of the tensor."""
        steps = (self.weights * self.deviation * relative_step).astype(np.float32)
        segments = segment_of(np.sqrt(self.variance) / steps)
        blank = tuple(np.array([1, 1], np.uint8) for _ in SEGMENTS)
        draft = Transform(name, self.dtype, self.basis, steps, segments, blank, self.low, self.high)
        return Transform(name, self.dtype, self.basis, steps, segments, self._tables(draft), self.low, self.high)

    def _tables(self, draft: Transform) -> tuple[Array, ...]:
        grouping = draft.grouping
        scale = 1 / np.append(np.ascontiguousarray(draft.steps.T[bands(*self.basis.size[:2])]).reshape(-1), 1)
        counts = [np.zeros(segment.symbols) for segment in SEGMENTS]
        for sample in self.coefficients:
            levels = np.rint((np.append(sample, 0) * scale).take(grouping.order)).astype(np.float32)
            symbols, _ = grouping.symbols(levels)
            for number, part in enumerate(np.split(symbols, np.cumsum(grouping.counts)[:-1])):
                counts[number] += np.bincount(part, minlength=counts[number].size)
        return tuple(code_lengths(smoothed(total, s.size)) for total, s in zip(counts, SEGMENTS, strict=True))


def by_band(flat: Array, band: Array) -> Array:
    """Means over each band: [height, width, components] to [bands, components]."""
    return np.stack([flat[band == number].mean(0) for number in range(int(band.max()) + 1)])


def smoothed(counts: Array, size: int) -> Array:
    """Counts of single values with some of each neighbour's, so that a value just not seen costs little more."""
    if size > 1 or counts.size < 16:
        return counts
    radius = max(1, counts.size // 64)
    kernel = np.exp(-np.abs(np.arange(-3 * radius, 3 * radius + 1)) / radius)
    spread = np.convolve(counts[:-1], kernel / kernel.sum(), "same")
    return np.append(0.8 * counts[:-1] + 0.2 * spread, counts[-1])


def fit(samples: Array, layout: str, cost: Cost | None = None) -> Fit:
    """Fit one tensor from samples [n, *shape]. Without ``cost`` all errors count the same."""
    basis = learned_basis(samples, layout)
    coefficients = np.stack([basis.forward(sample.astype(np.float32)) for sample in samples])
    deviation = float(np.std(samples, dtype=np.float64)) or 1.0
    low, high = _range(samples)
    flat = np.ones((coefficients.shape[-1], int(bands(*basis.size[:2]).max()) + 1), np.float32)
    made = Fit(samples.dtype.name, basis, coefficients, flat, deviation, low, high)
    if cost is None:
        return made
    weights = sensitivity_weights(made, cost)
    return Fit(made.dtype, basis, coefficients, weights, deviation, low, high)


def _range(samples: Array) -> tuple[float, float]:
    if samples.dtype.kind != "f":
        limits = np.iinfo(samples.dtype)
        return float(limits.min), float(limits.max)
    low, high = float(samples.min()), float(samples.max())
    room = 0.5 * (high - low)
    return (0.0 if low == 0 else low - room), high + room


def learned_basis(samples: Array, layout: str) -> Basis:
    """Means and, where the samples tell enough, principal directions of the channels."""
    shape = samples.shape[1:]
    channels = Basis(layout, shape, np.zeros(1, np.float32), None).size[2]
    axis = 1 if layout == "NCHW" and samples.ndim == 4 else samples.ndim - 1
    rows = np.moveaxis(samples, axis, -1).reshape(-1, channels).astype(np.float64)
    mean = rows.mean(0).astype(np.float32)
    if channels > MOST_CHANNELS or len(rows) < POSITIONS_PER_CHANNEL * channels:
        return Basis(layout, shape, mean, None)
    _, vectors = np.linalg.eigh(np.cov(rows, rowvar=False).reshape(channels, channels))
    return Basis(layout, shape, mean, packed_vectors(vectors[:, ::-1]))


def packed_vectors(vectors: Array) -> Array:
    """Vectors as the plan holds them: 16-bit fractions."""
    return np.asarray(np.rint(vectors * 32767).astype(np.int16) / np.float32(32767), np.float32)


def sensitivity_weights(made: Fit, cost: Cost) -> Array:
    """Relative steps float32 [components, bands], from what noise in groups of components and in bands costs."""
    numbers = list(range(0, len(made.coefficients), max(1, len(made.coefficients) // PROBES)))[:PROBES]
    band = bands(*made.basis.size[:2])
    components = made.coefficients.shape[-1]
    group = np.minimum(2 * np.log2(np.arange(components) + 1), 15).astype(int)
    group = np.unique(group, return_inverse=True)[1]
    in_groups = _wide([_noise_cost(made, cost, numbers, group == g) for g in range(int(group.max()) + 1)])
    in_bands = _wide([_noise_cost(made, cost, numbers, (band == b)[:, :, None]) for b in range(int(band.max()) + 1)])
    return (in_groups[group][:, None] * in_bands[None]).astype(np.float32)


def _noise_cost(made: Fit, cost: Cost, numbers: Sequence[int], mask: Array) -> float:
    """What noise of one and the same energy costs when all of it falls on the coefficients of a mask."""
    rng = np.random.default_rng(0)
    shape = made.coefficients.shape[1:]
    where = np.broadcast_to(mask, shape)
    amplitude = NOISE * made.deviation / np.sqrt(where.mean())
    noise = rng.standard_normal((len(numbers), *shape)).astype(np.float32) * where * np.float32(amplitude)
    noisy = [made.basis.inverse(made.coefficients[n] + noise[i]) for i, n in enumerate(numbers)]
    return cost(rounded(np.stack(noisy), made), numbers)


def rounded(values: Array, made: Fit) -> Array:
    """As decoding would leave them."""
    clipped = values.clip(made.low, made.high)
    return (clipped if np.dtype(made.dtype).kind == "f" else np.rint(clipped)).astype(made.dtype)


def _wide(costs: Sequence[float]) -> Array:
    """Relative steps from costs: wide where noise costs little."""
    if min(costs) <= 0 and max(costs) <= 0:
        return np.ones(len(costs))
    floor = np.maximum(np.asarray(costs), max(costs) * 1e-4)
    relative = floor / np.exp(np.log(floor).mean())
    return np.asarray((relative ** (-STRENGTH / 2)).clip(1 / SPREAD, SPREAD))
