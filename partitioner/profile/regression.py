"""Fit the seconds of operators as a function of their work and bytes.

Neurosurgeon's method (Kang et al., ASPLOS'17): one regression per kind of operator. Here a line with non-negative
coefficients (a larger operator never takes less), fitted so that relative and absolute errors both count: each
square weighs one over its seconds, between the two extremes of ignoring small operators and ignoring large ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError, mapped
from partway.partitioner.profile.fused_groups import FusedGroup, Habits, MeasuredModel

FEATURES = ("work", "input_bytes", "output_bytes", "weight_bytes", "constant")
STAGE_FEATURES = ("constant", "groups", "output_bytes")
LEAST_POINTS = 10
"""A kind with fewer points uses the line over all kinds."""
WIDEST = 8.0
"""A kind's own line is used up to this multiple of the largest feature seen; beyond it, the line over all kinds."""
FLOOR_S = 2e-6
"""Shorter times count as this when points are weighed, because profilers report whole microseconds."""
Point = tuple[FusedGroup, float]
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds per unit of each feature, the largest value of each that was seen, and how many points there were."""

    coefficients: tuple[float, ...]
    most: tuple[float, ...]
    points: int

    def seconds(self, features: Sequence[float]) -> float:
        """Seconds for these features."""
        return float(np.dot(self.coefficients, features))

    def covers(self, features: Sequence[float]) -> bool:
        """Whether no feature is far larger than those the line was fitted to."""
        return all(value <= WIDEST * most for value, most in zip(features, self.most, strict=True))


@dataclass(frozen=True, slots=True)
class Regression:
    """Lines per kind, over all kinds, and for what a stage takes besides its operators."""

    kinds: Mapping[str, Line]
    pooled: Line
    rest: Line
    habits: Habits

    def seconds(self, group: FusedGroup) -> float:
        """Predicted seconds of a group."""
        features = features_of(group)
        line = self.kinds.get(group.kind)
        return (line if line is not None and line.covers(features) else self.pooled).seconds(features)

    def knows(self, group: FusedGroup) -> bool:
        """Whether a line of the group's own kind is used for it."""
        line = self.kinds.get(group.kind)
        return line is not None and line.covers(features_of(group))

    def rest_s(self, groups: Sequence[FusedGroup]) -> float:
        """Predicted seconds that a stage of these groups takes besides them."""
        return self.rest.seconds(_stage_features(groups))


def regress(seen: Sequence[MeasuredModel]) -> Regression:
    """Fit everything to the measurements of some models on one machine."""
    by_kind: dict[str, list[Point]] = {}
    for group, seconds in (point for one in seen for point in one.groups):
        by_kind.setdefault(group.kind, []).append((group, seconds))
    return Regression(
        {kind: _fit_groups(points) for kind, points in by_kind.items() if len(points) >= LEAST_POINTS},
        _fit_groups([point for points in by_kind.values() for point in points]),
        _fit_rest(seen),
        Habits.of(seen),
    )


def features_of(group: FusedGroup) -> tuple[float, ...]:
    """The numbers that FEATURES names."""
    return group.work, group.input_bytes, group.output_bytes, group.weight_bytes, 1.0


def fit(rows: Sequence[Sequence[float]], seconds: Sequence[float]) -> Line:
    """Non-negative least squares, each row weighed by one over its seconds."""
    with mapped({ImportError: InputError}, "calibrating needs scipy: pip install 'partway[partition]'"):
        from scipy.optimize import nnls

    features: Array = np.array(rows, dtype=np.float64)
    times: Array = np.array(seconds, dtype=np.float64)
    most = features.max(axis=0)
    scale = np.where(most > 0, most, 1.0)
    weights = np.maximum(times, FLOOR_S) ** -0.5
    found, _ = nnls(features / scale * weights[:, None], times * weights)
    return Line(tuple((found / scale).tolist()), tuple(most.tolist()), len(rows))


def _fit_groups(points: Iterable[Point]) -> Line:
    rows = list(points)
    return fit([features_of(group) for group, _ in rows], [seconds for _, seconds in rows])


def _fit_rest(seen: Sequence[MeasuredModel]) -> Line:
    rows, seconds = [], []
    for one in seen:
        for stage, rest_s in enumerate(one.rest_s):
            rows.append(_stage_features([group for group, _ in one.groups if group.stage == stage]))
            seconds.append(rest_s)
    return fit(rows, seconds)


def _stage_features(groups: Sequence[FusedGroup]) -> tuple[float, ...]:
    return 1.0, float(len(groups)), sum(group.output_bytes for group in groups)
