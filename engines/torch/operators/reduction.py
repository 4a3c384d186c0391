"""ONNX reductions and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as f
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, numbers, op

Over = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep, dtype=x.dtype)


def _largest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.any(axes, keepdim=keep) if x.dtype is torch.bool else x.amax(axes, keepdim=keep)


def _smallest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.all(axes, keepdim=keep) if x.dtype is torch.bool else x.amin(axes, keepdim=keep)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keepdim=keep)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return torch.div(_sum(x, axes, keep), count, rounding_mode="trunc")


REDUCTIONS: dict[str, Over] = {
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "ReduceMax": _largest,
    "ReduceMin": _smallest,
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: _sum(x.abs(), axes, keep),
    "ReduceL2": lambda x, axes, keep: _sum(x * x, axes, keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: _sum(x * x, axes, keep),
    "ReduceLogSum": lambda x, axes, keep: _sum(x, axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keepdim=keep),
}


@op(*REDUCTIONS, host=(1,))
def reduction(context: OperatorContext) -> Run:
    """Over some axes, or all; they are an attribute before opset 18 (13 for ReduceSum)."""
    keep, fixed, idle = (
        bool(context.integer("keepdims", 1)),
        context.many("axes"),
        context.integer("noop_with_empty_axes", 0),
    )
    over = REDUCTIONS[context.operator.kind]

    def reduced(x: Tensor, axes: Any = None) -> Tensor:
        chosen = fixed if axes is None else numbers(axes)
        if not chosen and idle:
            chosen = []
            return over(x.unsqueeze(0), [0], False)
        return over(x, [a % x.ndim for a in chosen] if chosen else list(range(x.ndim)), keep)

    return reduced


@op("Gemm")
def gemm(context: OperatorContext) -> Run:
    """Alpha A B + beta C, either matrix turned."""
    alpha, beta = context.real("alpha", 1.0), context.real("beta", 1.0)
    turn_a, turn_b = context.integer("transA", 0), context.integer("transB", 0)

    def product(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = a.T if turn_a else a, b.T if turn_b else b
        if alpha == beta == 1 and (c is None or c.ndim == 1) and a.is_floating_point():
            return f.linear(a, b.T, c)
        result = a @ b
        result = result if alpha == 1 else (result * alpha).to(result.dtype)
        return result if c is None else result + (c if beta == 1 else (c * beta).to(c.dtype))

    return product


@op("MatMul")
def matmul(_: OperatorContext) -> Run:
    """As numpy's matmul."""

    def product(a: Tensor, b: Tensor) -> Tensor:
        return torch.matmul(a, b)

    return product


@op("Einsum")
def einsum(context: OperatorContext) -> Run:
    """By an equation."""
    equation = context.text("equation").replace(" ", "")

    def summed(*values: Tensor) -> Tensor:
        return torch.einsum(equation, *values)

    return summed


@op("Det")
def det(_: OperatorContext) -> Run:
    """Determinant of square matrices."""

    def determinant(x: Tensor) -> Tensor:
        return torch.linalg.det(x)

    return determinant
