"""ONNX convolutions and poolings, with every way ONNX has to say how to pad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as f
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, op

CONV = {1: f.conv1d, 2: f.conv2d, 3: f.conv3d}
UP = {1: f.conv_transpose1d, 2: f.conv_transpose2d, 3: f.conv_transpose3d}
MAX = {1: f.max_pool1d, 2: f.max_pool2d, 3: f.max_pool3d}
AVERAGE = {1: f.avg_pool1d, 2: f.avg_pool2d, 3: f.avg_pool3d}


@dataclass(frozen=True, slots=True)
class Window:
    """A window that moves over the spatial dimensions. Lists have one entry each; None where the file gives none."""

    auto: str
    strides: list[int] | None
    pads: list[int] | None
    dilations: list[int] | None

    @classmethod
    def of(cls, context: OperatorContext) -> Window:
        """As an operator's attributes say."""
        auto = context.text("auto_pad", "NOTSET")
        if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""):
            raise context.unsupported(f"auto_pad {auto}")
        return cls(auto, context.many("strides"), context.many("pads"), context.many("dilations"))

    def over(self, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[list[int], list[int], list[int], list[int]]:
        """Strides, dilations, padding before and after for spatial sizes; SAME keeps ceil(size / stride) places."""
        rank = len(kernel)
        strides, dilations = self.strides or [1] * rank, self.dilations or [1] * rank
        if not self.auto.startswith("SAME"):
            pads = (self.pads if self.auto in ("NOTSET", "") else None) or [0] * (2 * rank)
            return strides, dilations, pads[:rank], pads[rank:]
        before, after = [], []
        for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            less, more = total // 2, total - total // 2
            before.append(less if self.auto == "SAME_UPPER" else more)
            after.append(more if self.auto == "SAME_UPPER" else less)
        return strides, dilations, before, after


def both_ends(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Padding as torch has it: the last dimension first."""
    return [end for pair in zip(reversed(before), reversed(after), strict=True) for end in pair]


@op("Conv")
def conv(context: OperatorContext) -> Run:
    """Convolution of one to three dimensions."""
    window, groups = Window.of(context), context.integer("group", 1)
    context.many("kernel_shape")

    def convolve(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        strides, dilations, before, after = window.over(x.shape[2:], w.shape[2:])
        if before != after:
            x, before = f.pad(x, both_ends(before, after)), [0] * len(before)
        return CONV[x.ndim - 2](x, w, bias, strides, before, dilations, groups)

    return convolve


@op("ConvTranspose")
def conv_transpose(context: OperatorContext) -> Run:
    """Convolves without padding, then crops or pads the result to the size the ONNX specification gives."""
    window, groups = Window.of(context), context.integer("group", 1)
    shape, extra = context.many("output_shape"), context.many("output_padding")
    context.many("kernel_shape")

    def upwards(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        rank = x.ndim - 2
        strides, dilations, before, after = Window("NOTSET", window.strides, window.pads, window.dilations).over(
            x.shape[2:], w.shape[2:]
        )
        more = extra or [0] * rank
        up = UP[rank]
        if window.auto in ("NOTSET", "") and not shape and before == after and all(map(int.__lt__, more, strides)):
            return up(x, w, bias, strides, before, more, groups, dilations)
        uncut = up(x, w, None, strides, 0, 0, groups, dilations)
        if shape or window.auto.startswith("SAME"):
            target = shape[-rank:] if shape else [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
            total = [has + o - want for has, o, want in zip(uncut.shape[2:], more, target, strict=True)]
            before = [t // 2 if window.auto == "SAME_UPPER" else t - t // 2 for t in total]
            after = [t - b for t, b in zip(total, before, strict=True)]
        elif window.auto == "VALID":
            before, after = [0] * rank, [0] * rank
        cut = both_ends([-b for b in before], [o - a for o, a in zip(more, after, strict=True)])
        result = f.pad(uncut, cut) if any(cut) else uncut
        return result if bias is None else result + bias.reshape(-1, *[1] * rank)

    return upwards


def _ceil_extra(size: int, k: int, stride: int, dilation: int, ceil: bool) -> int:
    """How far past the padded end the last window of ``ceil_mode`` reaches; it has to begin before that end."""
    reach = (k - 1) * dilation + 1
    if not ceil or size < reach:
        return 0
    return max(0, -(-(size - reach) // stride) * stride + reach - size)


def _padded(
    x: Tensor, window: Window, kernel: list[int], ceil: bool
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Strides, dilations, and padding before and after, the latter with what ``ceil_mode`` adds."""
    strides, dilations, before, after = window.over(x.shape[2:], kernel)
    grown = []
    for at, size in enumerate(x.shape[2:]):
        full = size + before[at] + after[at]
        more = _ceil_extra(full, kernel[at], strides[at], dilations[at], ceil)
        begins = full + more - ((kernel[at] - 1) * dilations[at] + 1)
        if more and begins >= size + before[at]:  # a window that begins in the padding is not counted
            more -= strides[at]
        grown.append(after[at] + more)
    return strides, dilations, before, grown


@op("MaxPool")
def max_pool(context: OperatorContext) -> Run:
    """Of one to three dimensions, places as well; they count through the whole input."""
    kernel, window, ceil = context.many("kernel_shape"), Window.of(context), bool(context.integer("ceil_mode", 0))
    places = context.output_count > 1
    if context.integer("storage_order", 0) and places:
        raise context.unsupported("places in column order")

    def pooled(x: Tensor) -> Any:
        strides, dilations, before, after = _padded(x, window, kernel, ceil)
        pool = MAX[x.ndim - 2]
        if places:
            return _with_places(x, pool, kernel, strides, before, after, dilations)
        if before == after and all(2 * b <= k for b, k in zip(before, kernel, strict=True)):
            return pool(x, kernel, strides, before, dilations)
        least = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        return pool(f.pad(x, both_ends(before, after), value=least), kernel, strides, 0, dilations)

    return pooled


def _with_places(
    x: Tensor, pool: Any, kernel: list[int], strides: list[int], before: list[int], after: list[int], apart: list[int]
) -> tuple[Tensor, Tensor]:
    padded = f.pad(x, both_ends(before, after), value=-math.inf)
    result, at = pool(padded, kernel, strides, 0, apart, return_indices=True)
    found, inside = torch.zeros_like(at), at
    steps = [1]
    for size in reversed(x.shape[3:]):
        steps.insert(0, steps[0] * size)
    for step, size, skip in zip(reversed(steps), reversed(padded.shape[2:]), reversed(before), strict=True):
        found += (inside % size - skip) * step
        inside = inside // size
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device).reshape(x.shape[0], x.shape[1], *[1] * (x.ndim - 2))
    return result, found + planes * x.shape[2:].numel()


@op("AveragePool")
def average_pool(context: OperatorContext) -> Run:
    """Padding counts or not; what ``ceil_mode`` adds never does."""
    kernel, window, ceil = context.many("kernel_shape"), Window.of(context), bool(context.integer("ceil_mode", 0))
    count = bool(context.integer("count_include_pad", 0))

    def pooled(x: Tensor) -> Tensor:
        strides, dilations, before, after = _padded(x, window, kernel, ceil)
        apart = any(d != 1 for d in dilations)
        if not apart and before == after and all(2 * b <= k for b, k in zip(before, kernel, strict=True)):
            own = window.over(x.shape[2:], kernel)[3]
            if own == after:
                return AVERAGE[x.ndim - 2](x, kernel, strides, before, count_include_pad=count)
        own = window.over(x.shape[2:], kernel)[3]
        ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        if count:
            ones = f.pad(ones, both_ends(before, own), value=1.0)
            ones = f.pad(ones, both_ends([0] * len(own), [a - o for a, o in zip(after, own, strict=True)]))
        else:
            ones = f.pad(ones, both_ends(before, after))
        filled = f.pad(x, both_ends(before, after))
        sums = _summed(filled, kernel, strides, dilations)
        return sums / _summed(ones, kernel, strides, dilations)

    return pooled


def _summed(x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> Tensor:
    ones = torch.ones((1, 1, *kernel), dtype=x.dtype, device=x.device)
    flat = x.reshape(x.shape[0] * x.shape[1], 1, *x.shape[2:])
    sums = CONV[x.ndim - 2](flat, ones, None, strides, 0, dilations)
    return sums.reshape(x.shape[0], x.shape[1], *sums.shape[2:])


@op("LpPool")
def lp_pool(context: OperatorContext) -> Run:
    """The p-th root of the sum of p-th powers."""
    kernel, window, ceil = context.many("kernel_shape"), Window.of(context), bool(context.integer("ceil_mode", 0))
    p = context.integer("p", 2)

    def pooled(x: Tensor) -> Tensor:
        strides, dilations, before, after = _padded(x, window, kernel, ceil)
        return _summed(f.pad(x.abs() ** p, both_ends(before, after)), kernel, strides, dilations) ** (1 / p)

    return pooled


@op("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(context: OperatorContext) -> Run:
    """Over all spatial dimensions, which stay as 1."""
    kind, p = context.operator.kind, context.integer("p", 2)

    def pooled(x: Tensor) -> Tensor:
        axes = list(range(2, x.ndim))
        if kind == "GlobalAveragePool":
            return x.mean(axes, keepdim=True)
        if kind == "GlobalMaxPool":
            return x.amax(axes, keepdim=True)
        return torch.linalg.vector_norm(x, p, axes, keepdim=True)

    return pooled
