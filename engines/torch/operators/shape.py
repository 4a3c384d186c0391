"""ONNX operators that move numbers without changing them: shapes, order, pieces, padding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as f
from torch import Tensor

from partway.engines.onnx_file.values import Constant
from partway.engines.torch.operator_table import OperatorContext, Run, ShapeCache, number, numbers, op, to_tensor


@op("Shape", shapes=True)
def shape(context: OperatorContext) -> Run:
    """Sizes, on the host."""
    start, end = context.integer("start", 0), context.integer("end", None)

    def sizes(x: Tensor) -> Tensor:
        return torch.tensor(x.shape[start:end], dtype=torch.int64)

    return sizes


@op("Size", shapes=True)
def size(_: OperatorContext) -> Run:
    """How many numbers there are, on the host."""

    def count(x: Tensor) -> Tensor:
        return torch.tensor(x.numel())

    return count


@op("Reshape", host=(1,))
def reshape(context: OperatorContext) -> Run:
    """0 keeps a size (unless ``allowzero``), -1 takes the rest. Opset 1 has the shape as an attribute."""
    keep, fixed = not context.integer("allowzero", 0), context.many("shape")
    context.many("consumed_inputs")

    def reshaped(x: Tensor, shape: Any = None) -> Tensor:
        sizes = numbers(shape) if fixed is None else fixed
        return x.reshape([x.shape[at] if n == 0 and keep else n for at, n in enumerate(sizes)])

    return reshaped


@op("Flatten")
def flatten(context: OperatorContext) -> Run:
    """To two dimensions."""
    axis = context.integer("axis", 1)

    def flat(x: Tensor) -> Tensor:
        at = axis + x.ndim if axis < 0 else axis
        return x.reshape(x.shape[:at].numel(), x.shape[at:].numel())

    return flat


@op("Transpose")
def transpose(context: OperatorContext) -> Run:
    """All dimensions in another order; reversed when none is given."""
    order = context.many("perm")

    def turned(x: Tensor) -> Tensor:
        return x.permute(order if order is not None else list(range(x.ndim))[::-1])

    return turned


@op("Squeeze", host=(1,))
def squeeze(context: OperatorContext) -> Run:
    """Axes are an attribute before opset 13."""
    fixed = context.many("axes")

    def squeezed(x: Tensor, axes: Any = None) -> Tensor:
        chosen = fixed if axes is None else numbers(axes)
        return x.squeeze() if chosen is None else x.squeeze(tuple(chosen))

    return squeezed


@op("Unsqueeze", host=(1,))
def unsqueeze(context: OperatorContext) -> Run:
    """Axes count in what is made."""
    fixed = context.many("axes")

    def unsqueezed(x: Tensor, axes: Any = None) -> Tensor:
        chosen = fixed if axes is None else numbers(axes)
        rank = x.ndim + len(chosen)
        for axis in sorted(a % rank for a in chosen):
            x = x.unsqueeze(axis)
        return x

    return unsqueezed


@op("Concat")
def concat(context: OperatorContext) -> Run:
    """Along an axis."""
    axis = context.integer("axis", 1)

    def joined(*values: Tensor) -> Tensor:
        return torch.cat(values, axis)

    return joined


@op("Split", host=(1,), many=True)
def split(context: OperatorContext) -> Run:
    """Into given sizes, or into as many as there are outputs, the last the smallest."""
    axis, fixed, parts = (
        context.integer("axis", 0),
        context.many("split"),
        context.integer("num_outputs", context.output_count),
    )

    def pieces(x: Tensor, sizes: Any = None) -> Any:
        lengths = fixed if sizes is None else numbers(sizes)
        if lengths is None:
            each = -(-x.shape[axis] // parts)
            lengths = [min(each, x.shape[axis] - at * each) for at in range(parts)]
        return x.split(lengths, axis)

    return pieces


@op("Slice", host=(1, 2, 3, 4))
def slices(context: OperatorContext) -> Run:
    """Starts, ends, axes and steps are attributes before opset 10."""
    first, last, along = context.many("starts"), context.many("ends"), context.many("axes")

    def cut(x: Tensor, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Tensor:
        begins, stops = (first, last) if starts is None else (numbers(starts), numbers(ends))
        chosen = (along if axes is None else numbers(axes)) or list(range(len(begins)))
        strides = [1] * len(begins) if steps is None else numbers(steps)
        for begin, stop, axis, step in zip(begins, stops, chosen, strides, strict=True):
            x = _slice(x, begin, stop, axis % x.ndim, step)
        return x

    return cut


def _slice(x: Tensor, begin: int, stop: int, axis: int, step: int) -> Tensor:
    places = range(*slice(begin, stop, step).indices(x.shape[axis]))
    if not places:
        return x.narrow(axis, 0, 0)
    before: list[Any] = [slice(None)] * axis
    if step > 0:
        return x[(*before, slice(places[0], places[-1] + 1, step))]
    return x[(*before, slice(places[-1], places[0] + 1, -step))].flip(axis)


@op("Expand", host=(1,))
def expand(_: OperatorContext) -> Run:
    """To a shape both ways: a 1 in either gives way."""

    def expanded(x: Tensor, shape: Any) -> Tensor:
        return x.expand(torch.broadcast_shapes(x.shape, tuple(numbers(shape))))

    return expanded


@op("Tile", host=(1,))
def tile(_: OperatorContext) -> Run:
    """Repeated along each axis."""

    def tiled(x: Tensor, repeats: Any) -> Tensor:
        return x.repeat(numbers(repeats))

    return tiled


@op("Constant")
def constant(context: OperatorContext) -> Run:
    """In any of the forms the specification has."""
    value: Tensor | None = context.constant("value", None)
    for name, dtype in (("value_float", torch.float32), ("value_int", torch.int64)):
        for many in ("", "s"):
            numbers_given = context.integer(name + many, None)
            if numbers_given is not None:
                value = torch.tensor(numbers_given, dtype=dtype)
    if value is None:
        raise context.unsupported("a value that is no tensor of numbers")
    tensor = value

    def same() -> Tensor:
        return tensor

    return same


@op("ConstantOfShape", host=(0,))
def constant_of_shape(context: OperatorContext) -> Run:
    """One number repeated; zero when none is given."""
    attribute = context.operator.attributes.get("value")
    context.read.add("value")
    value = to_tensor(attribute) if isinstance(attribute, Constant) else torch.zeros(1)

    def filled(shape: Any) -> Tensor:
        return value.reshape(()).expand(numbers(shape))

    return filled


@op("Range", host=(0, 1, 2))
def ranges(_: OperatorContext) -> Run:
    """From a start to a limit by steps, on the host."""

    def counted(start: Any, limit: Any, delta: Any) -> Tensor:
        return torch.arange(number(start), number(limit), number(delta))

    return counted


@op("Pad", host=(1, 3), literal=(2,))
def pad(context: OperatorContext) -> Run:
    """Constant, reflect, edge or wrap; a negative width cuts. Widths are an attribute before opset 11."""
    mode, fixed, filler = context.text("mode", "constant"), context.many("pads"), context.real("value", 0.0)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise context.unsupported(f"mode {mode}")
    cache = context.cache

    def padded(x: Tensor, widths: Any = None, value: Any = None, axes: Any = None) -> Tensor:
        counts = fixed if widths is None else numbers(widths)
        chosen = list(range(x.ndim)) if axes is None else numbers(axes)
        half = len(counts) // 2
        ends = {axis % x.ndim: (counts[at], counts[at + half]) for at, axis in enumerate(chosen)}
        if mode == "constant":
            fill = filler if value is None else value if isinstance(value, Tensor) else number(value)
            flat = [end for axis in reversed(range(x.ndim)) for end in ends.get(axis, (0, 0))]
            return _filled(x, flat, fill)
        for axis, (before, after) in ends.items():
            if before or after:
                x = x.index_select(axis, _places(x, axis, before, after, mode, cache))
        return x

    return padded


def _filled(x: Tensor, flat: list[int], fill: Any) -> Tensor:
    if not isinstance(fill, Tensor):
        return f.pad(x, flat, value=fill)
    inside = f.pad(torch.ones_like(x, dtype=torch.bool), flat)
    return torch.where(inside, f.pad(x, flat), fill)


def _places(x: Tensor, axis: int, before: int, after: int, mode: str, cache: ShapeCache) -> Tensor:
    """Which place of the input each place of the output along an axis is read from."""
    count = x.shape[axis]

    def make() -> Tensor:
        at = torch.arange(-before, count + after)
        if mode == "edge":
            at = at.clamp(0, count - 1)
        elif mode == "wrap":
            at = at % count
        else:
            period = max(1, 2 * (count - 1))
            at = at % period
            at = torch.where(at >= count, period - at, at)
        return at.to(x.device)

    return cache.get(("pad", mode, count, before, after, x.device), make)


@op("DepthToSpace")
def depth_to_space(context: OperatorContext) -> Run:
    """Blocks of channels become neighbours in space."""
    block, mode = context.integer("blocksize"), context.text("mode", "DCR")

    def spread(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if mode == "DCR":
            parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            parts = x.reshape(n, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(n, c // block**2, h * block, w * block)

    return spread


@op("SpaceToDepth")
def space_to_depth(context: OperatorContext) -> Run:
    """The inverse (DCR)."""
    block = context.integer("blocksize")

    def gathered(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(n, c * block**2, h // block, w // block)

    return gathered
