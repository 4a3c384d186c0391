"""ONNX Resize and Upsample: every way of mapping coordinates that has one source of weights along each axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as f
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, ShapeCache, numbers, op

Array = np.ndarray[Any, Any]
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_half_pixel_for_nn")  # fmt: skip
OLD = "old"
"""How ONNX Runtime rounds where opset 10 and Upsample do not say: up where it becomes smaller, else down."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to resize: the attributes of the operator."""

    mode: str
    coordinates: str
    rounding: str = "floor"
    cubic: float = -0.75
    exclude: bool = False
    antialias: bool = False

    def places(self, size: int, out_size: int, scale: float) -> Array:
        """Where each output number lies in the input (ONNX specification of Resize), in single precision."""
        at = np.arange(out_size, dtype=np.float32)
        ratio = np.float32(scale)
        half = np.float32(0.5)
        match self.coordinates:
            case "asymmetric":
                return at / ratio
            case "align_corners":
                return at * np.float32((size - 1) / (out_size - 1)) if out_size > 1 else at * 0
            case "tf_half_pixel_for_nn":
                return (at + half) / ratio
            case "pytorch_half_pixel" if out_size == 1:
                return at * 0
            case "half_pixel_symmetric":
                shift = np.float32(size / 2 * (1 - out_size / (scale * size)))
                return shift + (at + half) / ratio - half
            case _:
                return (at + half) / ratio - half

    def nearest(self, size: int, out_size: int, scale: float) -> Array:
        """The index of the input number that each output number copies."""
        at = self.places(size, out_size, scale)
        match self.rounding:
            case "round_prefer_floor":
                at = np.ceil(at - np.float32(0.5))
            case "round_prefer_ceil":
                at = np.floor(at + np.float32(0.5))
            case "ceil" | "old" if self.rounding == "ceil" or scale < 1:
                at = np.ceil(at)
            case _:
                at = np.floor(at)
        return np.clip(at, 0, size - 1).astype(np.int64)

    def weights(self, size: int, out_size: int, scale: float) -> Array:
        """The weight of each input number in each output number, float32 [out_size, size]."""
        at = self.places(size, out_size, scale).astype(np.float64)
        if self.antialias and scale < 1:
            return self._smooth(at, size, scale)
        if self.mode == "linear":
            at = np.clip(at, 0, size - 1)
        taps = range(0, 2) if self.mode == "linear" else range(-1, 3)
        first = np.floor(at).astype(np.int64)
        found = np.zeros((out_size, size))
        rows = np.arange(out_size)
        for tap in taps:
            share = self._kernel(at - (first + tap))
            inside = (first + tap >= 0) & (first + tap < size)
            if self.exclude:
                share = share * inside
            np.add.at(found, (rows, np.clip(first + tap, 0, size - 1)), share)
        if self.exclude:
            found /= found.sum(1, keepdims=True)
        return found.astype(np.float32)

    def _smooth(self, at: Array, size: int, scale: float) -> Array:
        """The kernel as wide as what becomes one number; past the ends lies the last number, or nothing."""
        support = (1.0 if self.mode == "linear" else 2.0) / scale
        centre = (at + 0.5)[:, None]
        reach = math.ceil(support) + 1
        columns = np.arange(-reach, size + reach)
        found = self._kernel((columns[None] - centre + 0.5) * scale)
        found *= (columns[None] >= np.floor(centre - support + 0.5)) & (
            columns[None] < np.floor(centre + support + 0.5)
        )
        if self.exclude:
            found *= (columns >= 0) & (columns < size)
        shares_by_place = np.zeros((len(at), size))
        np.add.at(shares_by_place.T, np.clip(columns, 0, size - 1), found.T)
        shares: Array = (shares_by_place / shares_by_place.sum(1, keepdims=True)).astype(np.float32)
        return shares

    def _kernel(self, distance: Array) -> Array:
        d = np.abs(distance)
        if self.mode == "linear":
            return np.maximum(0.0, 1.0 - d)
        a = self.cubic
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@op("Resize", host=(1, 2, 3))
def resize(context: OperatorContext) -> Run:
    """By scales or to sizes. Opset 10 has scales only, and the coordinates of Upsample."""
    old = context.opset < 11
    way = Way(
        context.text("mode", "nearest"),
        context.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
        context.text("nearest_mode", OLD if old else "round_prefer_floor"),
        context.real("cubic_coeff_a", -0.75),
        bool(context.integer("exclude_outside", 0)),
        bool(context.integer("antialias", 0)),
    )
    axes, policy = context.many("axes"), context.text("keep_aspect_ratio_policy", "stretch")
    context.real("extrapolation_value", 0.0)
    if way.coordinates not in COORDINATES or way.mode not in ("nearest", "linear", "cubic"):
        raise context.unsupported(f"mode {way.mode}, coordinates {way.coordinates}")
    cache = context.cache

    def resized(x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
        if old:
            roi, scales = None, roi
        along = [a % x.ndim for a in axes] if axes else list(range(x.ndim))
        if sizes is not None and numbers(sizes):
            out_sizes = dict(zip(along, map(int, numbers(sizes)), strict=True))
            ratios = _ratios(x, out_sizes, policy)
        else:
            ratios = dict(zip(along, map(float, numbers(scales)), strict=True))
            out_sizes = {axis: math.floor(np.float32(x.shape[axis]) * np.float32(r)) for axis, r in ratios.items()}
        if policy != "stretch" and sizes is not None:
            out_sizes = {axis: math.floor(x.shape[axis] * r + 0.5) for axis, r in ratios.items()}
        return _resized(x, way, out_sizes, ratios, cache)

    return resized


def _ratios(x: Tensor, out_sizes: dict[int, int], policy: str) -> dict[int, float]:
    ratios = {axis: size / x.shape[axis] for axis, size in out_sizes.items()}
    if policy == "stretch":
        return ratios
    one = (min if policy == "not_larger" else max)(ratios.values())
    return dict.fromkeys(ratios, one)


@op("Upsample", host=(1,))
def upsample(context: OperatorContext) -> Run:
    """The older operator: scales only, an attribute before opset 9."""
    way, fixed = Way(context.text("mode", "nearest"), "asymmetric", OLD), context.many("scales")
    cache = context.cache

    def grown(x: Tensor, scales: Any = None) -> Tensor:
        factors = map(float, fixed if scales is None else numbers(scales))
        ratios = dict(enumerate(factors))
        out_sizes = {axis: math.floor(x.shape[axis] * ratio) for axis, ratio in ratios.items()}
        return _resized(x, way, out_sizes, ratios, cache)

    return grown


def _resized(x: Tensor, way: Way, out_sizes: dict[int, int], ratios: dict[int, float], cache: ShapeCache) -> Tensor:
    changed = [a for a, size in out_sizes.items() if size != x.shape[a] or (way.mode != "nearest" and ratios[a] != 1)]
    fast = _fast(x, way, out_sizes, ratios, changed)
    if fast is not None:
        return fast
    for axis in changed:
        x = _along(x, way, axis, out_sizes[axis], ratios[axis], cache)
    return x


def _along(x: Tensor, way: Way, axis: int, out_size: int, ratio: float, cache: ShapeCache) -> Tensor:
    size, device, dtype = x.shape[axis], x.device, x.dtype
    key = ("resize", way, size, out_size, ratio, device, dtype)
    if way.mode == "nearest":
        places = cache.get(key, lambda: torch.from_numpy(way.nearest(size, out_size, ratio)).to(device))
        return x.index_select(axis, places)
    share = cache.get(key, lambda: torch.from_numpy(way.weights(size, out_size, ratio)).to(device, dtype))
    return torch.matmul(x.movedim(axis, -1), share.T).movedim(-1, axis)


def _fast(
    x: Tensor, way: Way, out_sizes: dict[int, int], ratios: dict[int, float], changed: list[int]
) -> Tensor | None:
    """torch's own interpolation where it gives the same result, else None."""
    if x.ndim != 4 or changed not in ([2, 3], [3, 2]) or way.antialias or way.exclude:
        return None
    size, scale = (out_sizes[2], out_sizes[3]), (ratios[2], ratios[3])
    exact = all(out_size == x.shape[axis] * ratios[axis] for axis, out_size in out_sizes.items())
    if way.mode == "nearest":
        is_integer = all(ratio == int(ratio) for ratio in scale)
        same = (way.coordinates == "asymmetric" and way.rounding in ("floor", OLD)) or (
            way.coordinates == "half_pixel" and way.rounding.startswith("round")
        )
        return f.interpolate(x, size, mode="nearest") if is_integer and same else None
    mode = {"linear": "bilinear", "cubic": "bicubic"}[way.mode]
    if way.mode == "cubic" and way.cubic != -0.75:
        return None
    if way.coordinates == "align_corners" and min(size) > 1:
        return f.interpolate(x, size, mode=mode, align_corners=True)
    if way.coordinates in ("half_pixel", "pytorch_half_pixel") and exact and min(size) > 1:
        return f.interpolate(x, size, mode=mode, align_corners=False)
    return None
