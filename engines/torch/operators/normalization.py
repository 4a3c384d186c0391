"""ONNX normalisations."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as f
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, op


@op("BatchNormalization")
def batch_norm(context: OperatorContext) -> Run:
    """By the statistics in the file."""
    epsilon = context.real("epsilon", 1e-5)
    context.real("momentum", 0.9)
    context.only(1)
    if context.integer("training_mode", 0) or not context.integer("spatial", 1):
        raise context.unsupported("statistics of the batch itself")

    def normal(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return f.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)

    return normal


@op("InstanceNormalization")
def instance_norm(context: OperatorContext) -> Run:
    """Each channel of each sample by itself."""
    epsilon = context.real("epsilon", 1e-5)

    def normal(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        return _groups(x, x.shape[1], scale, bias, epsilon)

    return normal


@op("GroupNormalization")
def group_norm(context: OperatorContext) -> Run:
    """Scale and bias go by channel since opset 21, by group before."""
    epsilon, groups = context.real("epsilon", 1e-5), context.integer("num_groups")
    context.integer("stash_type", 1)
    by_group = context.opset < 21

    def normal(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if by_group:
            each = x.shape[1] // groups
            scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
        return _groups(x, groups, scale, bias, epsilon)

    return normal


def _groups(x: Tensor, groups: int, scale: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return f.group_norm(x, groups, scale, bias, epsilon)


@op("LayerNormalization", domains=("", "com.microsoft"))
def layer_norm(context: OperatorContext) -> Run:
    """Over the dimensions from ``axis`` on; mean and deviation as well where they are asked for."""
    axis, epsilon = context.integer("axis", -1), context.real("epsilon", 1e-5)
    context.integer("stash_type", 1)
    several = context.output_count > 1

    def normal(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
        shape = x.shape[axis % x.ndim :]
        if not several and scale.shape == shape and (bias is None or bias.shape == shape):
            return f.layer_norm(x, shape, scale, bias, epsilon)
        result = f.layer_norm(x, shape, None, None, epsilon) * scale
        result = result if bias is None else result + bias
        if not several:
            return result
        axes = list(range(axis % x.ndim, x.ndim))
        centre = x.mean(axes, keepdim=True)
        return result, centre, torch.rsqrt(((x - centre) ** 2).mean(axes, keepdim=True) + epsilon)

    return normal


@op("RMSNormalization", "SimplifiedLayerNormalization")
def rms_norm(context: OperatorContext) -> Run:
    """By the root of the mean square over the dimensions from ``axis`` on."""
    axis, epsilon = context.integer("axis", -1), context.real("epsilon", 1e-5)
    context.integer("stash_type", 1)
    context.only(1)

    def normal(x: Tensor, scale: Tensor) -> Tensor:
        return f.rms_norm(x, x.shape[axis % x.ndim :], None, epsilon) * scale

    return normal


@op("LRN")
def lrn(context: OperatorContext) -> Run:
    """Across neighbouring channels (AlexNet): ``size`` of them, the smaller half before."""
    alpha, beta, bias, size = (
        context.real("alpha", 1e-4),
        context.real("beta", 0.75),
        context.real("bias", 1.0),
        context.integer("size"),
    )

    def normal(x: Tensor) -> Tensor:
        squares = f.pad((x * x).flatten(2).transpose(1, 2), ((size - 1) // 2, size // 2))
        sums = f.avg_pool1d(squares, size, 1).transpose(1, 2).reshape(x.shape)
        return x / (bias + alpha * sums) ** beta

    return normal


@op("LpNormalization")
def lp_norm(context: OperatorContext) -> Run:
    """To length one along an axis; what has no length stays zero."""
    axis, p = context.integer("axis", -1), context.integer("p", 2)

    def normal(x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, p, axis, keepdim=True)
        return torch.where(length == 0, 0, x / length)

    return normal


@op("MeanVarianceNormalization")
def mean_variance(context: OperatorContext) -> Run:
    """To mean zero and variance one."""
    axes = context.many("axes", [0, 2, 3])

    def normal(x: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return centred / (torch.sqrt((centred * centred).mean(axes, keepdim=True)) + 1e-9)

    return normal
