"""Fit transform coding to one tensor from calibration samples: the basis, the error weights and the statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from partway.partitioner.calibrate.sensitivity import Response, groups_of, measured_sensitivity
from partway.proto.codecs.transform.codec import Transform
from partway.proto.codecs.transform.dct_klt import Basis
from partway.proto.codecs.transform.huffman import table
from partway.proto.codecs.transform.symbols import SEGMENTS, segment_of

Array = np.ndarray[Any, Any]
MOST_CHANNELS = 512
POSITIONS_PER_CHANNEL = 4
"""With fewer samples per channel a basis is mostly chance."""
STRENGTH = 0.8
"""How far steps follow sensitivity: 1 would equalise what each component costs, 0 ignore it."""
FLOOR = 0.05
"""Share of the mean sensitivity that every component is taken to have."""


@dataclass(frozen=True)
class Fit:
    """Everything about a tensor that does not depend on the quality.

    ``coefficients`` float32 [samples, positions, components]; ``weights`` float32 [components, bands]: relative steps,
    such that those of a basis that is not orthonormal cost as many bits as steps of one would of one that is.
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
        return np.asarray(by_band(flat, self.basis.bands).T)

    def transform(self, name: str, relative_step: float) -> Transform:
        """The codec whose steps are, on average, ``relative_step`` deviations of the tensor."""
        steps = (self.weights * self.deviation * relative_step).astype(np.float32)
        segments = segment_of(np.sqrt(self.variance) / steps)
        blank = tuple(np.ones(2, np.uint8) for _ in SEGMENTS)
        draft = Transform(name, self.dtype, self.basis, steps, segments, blank, self.low, self.high)
        return Transform(name, self.dtype, self.basis, steps, segments, self._tables(draft), self.low, self.high)

    def _tables(self, draft: Transform) -> tuple[Array, ...]:
        grouping = draft.symbol_coder
        scale = 1 / np.append(self.basis.by_coefficient(draft.steps), 1)
        counts = [np.zeros(segment.symbols) for segment in SEGMENTS]
        for sample in self.coefficients:
            levels = np.rint((np.append(sample, 0) * scale).take(grouping.order)).astype(np.float32)
            symbols, _ = grouping.symbols(levels)
            for number, part in enumerate(np.split(symbols, np.cumsum(grouping.counts)[:-1])):
                counts[number] += np.bincount(part, minlength=counts[number].size)
        return tuple(table(smoothed(total, s.size)) for total, s in zip(counts, SEGMENTS, strict=True))


def by_band(flat: Array, band: Array) -> Array:
    """Means over each band: [positions, components] to [bands, components]."""
    return np.stack([flat[band == number].mean(0) for number in range(int(band.max()) + 1)])


def smoothed(counts: Array, size: int) -> Array:
    """Counts of single values, smoothed with their neighbours', so that an unseen value costs little more."""
    if size > 1 or counts.size < 16:
        return counts
    radius = max(1, counts.size // 64)
    kernel = np.exp(-np.abs(np.arange(-3 * radius, 3 * radius + 1)) / radius)
    spread = np.convolve(counts[:-1], kernel / kernel.sum(), "same")
    return np.append(0.8 * counts[:-1] + 0.2 * spread, counts[-1])


def fit(samples: Array, layout: str, response: Response | None = None) -> Fit:
    """Fit one tensor from samples [n, *shape]. Without ``response`` all errors count the same."""
    plain = _plain_basis(samples, layout)
    low, high = _range(samples)
    deviation = float(np.std(samples, dtype=np.float64)) or 1.0
    height, width, channels = plain.size
    flat = np.ones((channels, int(plain.bands.max()) + 1), np.float32)
    fitted = Fit(samples.dtype.name, plain, _coefficients(plain, samples), flat, deviation, low, high)
    enough = len(samples) * height * width >= POSITIONS_PER_CHANNEL * channels and channels <= MOST_CHANNELS
    if not enough:
        return fitted
    cost = (
        None
        if response is None
        else measured_sensitivity(plain, samples, response, lambda values: rounded(values, fitted))
    )
    basis, weights = mixed_basis(fitted, cost)
    return replace(fitted, basis=basis, weights=weights, coefficients=_coefficients(basis, samples))


def _plain_basis(samples: Array, layout: str) -> Basis:
    shape = samples.shape[1:]
    channels = Basis(layout, shape, np.zeros(1, np.float32), None).size[2]
    axis = 1 if layout == "NCHW" and samples.ndim == 4 else samples.ndim - 1
    mean = np.moveaxis(samples, axis, -1).reshape(-1, channels).mean(0, dtype=np.float64)
    return Basis(layout, shape, mean.astype(np.float32), None)


def _coefficients(basis: Basis, samples: Array) -> Array:
    return np.stack([basis.forward(sample.astype(np.float32)) for sample in samples])


def mixed_basis(fitted: Fit, cost: Array | None) -> tuple[Basis, Array]:
    """The basis with the fewest bits for a given change of the answer, by frequency group, and its relative steps.

    It holds the principal components after channels are scaled by the root of the cost matrix: there, equal steps are
    best (Karhunen-Loeve under a weighted error).
    """
    plain = fitted.basis
    groups = groups_of(*plain.size[:2])
    covariances = _covariances(fitted, groups[plain.bands])
    trust = np.ones(len(covariances)) if cost is None else np.trace(cost, axis1=1, axis2=2)
    positions = np.bincount(groups[plain.bands])
    wide = np.maximum(trust, 1e-12 * trust.max()) ** (-STRENGTH / 2) if trust.max() > 0 else np.ones(len(trust))
    wide /= np.exp(np.log(wide) @ positions / positions.sum())
    vectors, weights = [], []
    for number, covariance in enumerate(covariances):
        scale = np.eye(len(covariance)) if cost is None else _root(cost[number])
        _, turn = np.linalg.eigh(scale @ covariance @ scale)
        synthesis = np.linalg.solve(scale, turn[:, ::-1])
        length = np.linalg.norm(synthesis, axis=0)
        vectors.append(packed_vectors(synthesis / length))
        weights.append(wide[number] * length)
    basis = Basis(plain.layout, plain.shape, plain.mean, np.stack(vectors), groups)
    return basis, np.stack(weights, 1)[:, groups].astype(np.float32)


def _covariances(fitted: Fit, group: Array) -> list[Array]:
    """Channel covariances per group of positions, shrunk towards the overall one when samples are few."""
    found = []
    channels = fitted.coefficients.shape[-1]
    flat = fitted.coefficients.reshape(-1, channels)
    everywhere = flat.T.astype(np.float64) @ flat / len(flat)
    for number in range(int(group.max()) + 1):
        rows = fitted.coefficients[:, group == number].reshape(-1, channels).astype(np.float64)
        own = rows.T @ rows / len(rows)
        like = everywhere * (np.trace(own) / (np.trace(everywhere) or 1.0))
        share = channels / (channels + len(rows))
        found.append((1 - share) * own + share * like)
    return found


def _root(cost: Array) -> Array:
    """The root of a cost matrix, as far as it is followed, of determinant one."""
    values, vectors = np.linalg.eigh(cost)
    values = np.maximum(values, 0) + FLOOR * max(float(values.mean()), 1e-30)
    values = values ** (STRENGTH / 2)
    return np.asarray((vectors * (values / np.exp(np.log(values).mean()))) @ vectors.T)


def _range(samples: Array) -> tuple[float, float]:
    if samples.dtype.kind != "f":
        limits = np.iinfo(samples.dtype)
        return float(limits.min), float(limits.max)
    low, high = float(samples.min()), float(samples.max())
    room = 0.5 * (high - low)
    return (0.0 if low == 0 else low - room), high + room


def packed_vectors(vectors: Array) -> Array:
    """Vectors as the plan holds them: 16-bit fractions."""
    return np.asarray(np.rint(vectors * 32767).astype(np.int16) / np.float32(32767), np.float32)


def rounded(values: Array, fitted: Fit) -> Array:
    """Values clipped and rounded as decoding does."""
    clipped = values.clip(fitted.low, fitted.high)
    return (clipped if np.dtype(fitted.dtype).kind == "f" else np.rint(clipped)).astype(fitted.dtype)
