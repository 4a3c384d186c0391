"""ONNX operators that choose numbers by their place or size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, ShapeCache, number, op


def _positive(indices: Tensor, size: int) -> Tensor:
    return torch.where(indices < 0, indices + size, indices).to(torch.int64)


@op("Gather", literal=(1,))
def gather(context: OperatorContext) -> Run:
    """Slices along an axis; the indices' shape takes the axis' place."""
    axis = context.integer("axis", 0)

    def gathered(x: Tensor, indices: Any) -> Tensor:
        if isinstance(indices, int):
            return x.select(axis, indices)
        places = _positive(indices, x.shape[axis])
        if places.device != x.device:  # sizes are on the host, their places may not be
            places = places.to(x.device)
        if places.ndim == 1:
            return x.index_select(axis, places)
        at = axis % x.ndim
        rows = x.index_select(axis, places.reshape(-1))
        return rows.reshape(*x.shape[:at], *places.shape, *x.shape[at + 1 :])

    return gathered


@op("GatherElements")
def gather_elements(context: OperatorContext) -> Run:
    """One number for each index."""
    axis = context.integer("axis", 0)

    def gathered(x: Tensor, indices: Tensor) -> Tensor:
        return x.gather(axis, _positive(indices, x.shape[axis]))

    return gathered


@op("GatherND")
def gather_nd(context: OperatorContext) -> Run:
    """The last dimension of the indices is a place in the tensor."""
    batch = context.integer("batch_dims", 0)

    def gathered(x: Tensor, indices: Tensor) -> Tensor:
        count = x.shape[:batch].numel()
        flat = x.reshape(count, *x.shape[batch:])
        places = indices.reshape(count, -1, indices.shape[-1])
        rows = torch.arange(count, device=x.device).reshape(-1, 1).expand(count, places.shape[1])
        chosen = flat[(rows, *(_positive(places[..., at], flat.shape[at + 1]) for at in range(places.shape[-1])))]
        return chosen.reshape(*indices.shape[:-1], *x.shape[batch + indices.shape[-1] :])

    return gathered


@op("ScatterElements", "Scatter")
def scatter_elements(context: OperatorContext) -> Run:
    """Numbers put, added, or kept where larger or smaller."""
    axis, how = context.integer("axis", 0), context.text("reduction", "none")
    reduce = {"none": None, "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}.get(how)

    def scattered(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        places = _positive(indices, x.shape[axis])
        return x.scatter(axis, places, updates) if reduce is None else x.scatter_reduce(axis, places, updates, reduce)

    return scattered


@op("ScatterND")
def scatter_nd(context: OperatorContext) -> Run:
    """Slices put, or added."""
    how = context.text("reduction", "none")
    if how not in ("none", "add"):
        raise context.unsupported(f"reduction {how}")

    def scattered(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        places = tuple(_positive(indices[..., at], x.shape[at]) for at in range(indices.shape[-1]))
        return x.index_put(places, updates, accumulate=how == "add")

    return scattered


@op("TopK", host=(1,), many=True)
def top_k(context: OperatorContext) -> Run:
    """Of equal numbers the first comes first, so everything is sorted."""
    axis, largest, fixed = context.integer("axis", -1), bool(context.integer("largest", 1)), context.integer("k", None)
    context.integer("sorted", 1)

    def best(x: Tensor, k: Any = None) -> tuple[Tensor, Tensor]:
        count = fixed if k is None else number(k)
        values, places = x.sort(dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count), places.narrow(axis, 0, count)

    return best


@op("ArgMax", "ArgMin")
def arg(context: OperatorContext) -> Run:
    """The place of the largest or smallest number, the first of equals unless the last is asked for."""
    axis, keep, last = (
        context.integer("axis", 0),
        bool(context.integer("keepdims", 1)),
        context.integer("select_last_index", 0),
    )
    find = torch.argmax if context.operator.kind == "ArgMax" else torch.argmin

    def place(x: Tensor) -> Tensor:
        if not last:
            return find(x, axis, keepdim=keep)
        return x.shape[axis] - 1 - find(x.flip(axis), axis, keepdim=keep)

    return place


@op("NonZero", waits=True)
def non_zero(_: OperatorContext) -> Run:
    """Places, one column each."""

    def places(x: Tensor) -> Tensor:
        return torch.nonzero(x).T if x.ndim else torch.zeros((0, int(x != 0)), dtype=torch.int64, device=x.device)

    return places


@op("Compress", waits=True)
def compress(context: OperatorContext) -> Run:
    """What the condition chooses along an axis, or of all numbers in order."""
    axis = context.integer("axis", None)

    def chosen(x: Tensor, condition: Tensor) -> Tensor:
        flat = x.reshape(-1) if axis is None else x
        return flat.index_select(0 if axis is None else axis, torch.nonzero(condition).reshape(-1))

    return chosen


@op("CumSum", host=(1,))
def cumulative(context: OperatorContext) -> Run:
    """From either end, with or without the number itself."""
    exclusive, backwards = context.integer("exclusive", 0), context.integer("reverse", 0)

    def sums(x: Tensor, axis: Any) -> Tensor:
        along = number(axis)
        ordered = x.flip(along) if backwards else x
        sums_so_far = ordered.cumsum(along, dtype=x.dtype)
        sums_so_far = sums_so_far - ordered if exclusive else sums_so_far
        return sums_so_far.flip(along) if backwards else sums_so_far

    return sums


@op("Trilu", host=(1,))
def trilu(context: OperatorContext) -> Run:
    """The upper or lower triangle."""
    part = torch.triu if context.integer("upper", 1) else torch.tril

    def triangle(x: Tensor, k: Any = 0) -> Tensor:
        return part(x, 0 if k is None else number(k))

    return triangle


@op("EyeLike")
def eye_like(context: OperatorContext) -> Run:
    """Ones on a diagonal, in a tensor's shape."""
    k, dtype = context.integer("k", 0), context.dtype("dtype", None)

    def eye(x: Tensor) -> Tensor:
        rows, columns = (torch.arange(n, device=x.device) for n in x.shape)
        return (columns[None] - rows[:, None] == k).to(dtype or x.dtype)

    return eye


@op("OneHot", host=(1,))
def one_hot(context: OperatorContext) -> Run:
    """A new axis with one number on at the index."""
    axis = context.integer("axis", -1)

    def hot(indices: Tensor, depth: Any, values: Tensor) -> Tensor:
        count = number(depth)
        places = torch.remainder(indices.to(torch.int64), count)
        inside = (indices >= -count) & (indices < count)
        marks = torch.arange(count, device=indices.device) == places.unsqueeze(-1)
        marks = (marks & inside.unsqueeze(-1)).movedim(-1, axis)
        return torch.where(marks, values[1], values[0])

    return hot


@op("GridSample")
def grid_sample(context: OperatorContext) -> Run:
    """Read at given places of a picture."""
    mode = {"bilinear": "bilinear", "linear": "bilinear", "nearest": "nearest", "bicubic": "bicubic",
            "cubic": "bicubic"}.get(context.text("mode", "linear"))  # fmt: skip
    padding, corners = context.text("padding_mode", "zeros"), bool(context.integer("align_corners", 0))
    if mode is None:
        raise context.unsupported("its mode")

    def sampled(x: Tensor, grid: Tensor) -> Tensor:
        return torch.nn.functional.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)

    return sampled


def on_device(device: torch.device, cache: ShapeCache, dtype: torch.dtype) -> Run:
    """What brings a value of the host to the device: once for equal numbers, so that a captured graph can read it."""

    def moved(x: Tensor) -> Tensor:
        x = x.to(dtype) if x.dtype is torch.float32 else x
        if device.type == "cpu":
            return x
        flat = x.contiguous()
        key = ("host", flat.dtype, tuple(flat.shape), bytes(flat.reshape(-1).view(torch.uint8).numpy()))
        return cache.get(key, lambda: flat.to(device))

    return moved
