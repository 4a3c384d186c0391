"""ONNX quantisation, emulated: integers are kept between operators, and computed with as floats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, op
from partway.engines.torch.operators.convolution import CONV, Window, both_ends


def _along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """Numbers, one for all or one for each place on an axis, so that they broadcast."""
    if values.ndim == 0 or values.numel() == 1:
        return values.reshape(())
    if values.ndim != 1:
        return values
    return values.reshape([-1 if at == axis % x.ndim else 1 for at in range(x.ndim)])


def quantised(x: Tensor, scale: Tensor, zero: Tensor | None, axis: int, dtype: torch.dtype) -> Tensor:
    """The nearest integers, half to even, within the type."""
    limits = torch.iinfo(dtype)
    real = torch.round(x.to(torch.float32) / _along(scale.to(torch.float32), x, axis))
    if zero is not None:
        real = real + _along(zero.to(torch.float32), x, axis)
    return real.clamp(limits.min, limits.max).to(dtype)


def dequantised(x: Tensor, scale: Tensor, zero: Tensor | None, axis: int = 1) -> Tensor:
    """scale × (x - zero), in float32."""
    real = x.to(torch.float32)
    if zero is not None:
        real = real - _along(zero.to(torch.float32), x, axis)
    return real * _along(scale.to(torch.float32), x, axis)


@op("QuantizeLinear", exact=(0, 1, 2))
def quantize(context: OperatorContext) -> Run:
    """One scale, or one for each place on an axis; blocks are not known."""
    axis = context.integer("axis", 1)
    context.integer("saturate", 1), context.integer("precision", 0)
    dtype = context.dtype("output_dtype", None) if context.integer("output_dtype", 0) else None
    if context.integer("block_size", 0):
        raise context.unsupported("blocks")

    def rounded(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        to = dtype or (torch.uint8 if zero is None else zero.dtype)
        return quantised(x, scale, zero, axis, to)

    return rounded


@op("DequantizeLinear", exact=(1,))
def dequantize(context: OperatorContext) -> Run:
    """The inverse."""
    axis, to = context.integer("axis", 1), context.floats
    context.integer("output_dtype", 0)
    if context.integer("block_size", 0):
        raise context.unsupported("blocks")

    def real(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        return dequantised(x, scale, zero, axis).to(to)

    return real


@op("DynamicQuantizeLinear")
def dynamic_quantize(_: OperatorContext) -> Run:
    """To uint8 by the range of the numbers themselves, zero included."""

    def measured(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real = x.to(torch.float32)
        low, high = real.amin().clamp(max=0), real.amax().clamp(min=0)
        scale = (high - low) / 255
        zero = torch.round(-low / torch.where(scale == 0, 1, scale)).clamp(0, 255).to(torch.uint8)
        return quantised(real, torch.where(scale == 0, 1, scale), zero, 0, torch.uint8), scale, zero

    return measured


def _integers(a: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    wide = a.to(torch.float64)
    if zero is None:
        return wide
    low = zero.to(torch.float64)
    return wide - (low if zero.numel() == 1 or zero.ndim != 1 else _along(low, a, axis))


@op("MatMulInteger")
def matmul_integer(_: OperatorContext) -> Run:
    """Exact in float64."""

    def product(a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None) -> Tensor:
        return (_integers(a, a_zero, a.ndim - 2) @ _integers(b, b_zero, b.ndim - 1)).to(torch.int32)

    return product


def _convolution(context: OperatorContext) -> Run:
    window, groups = Window.of(context), context.integer("group", 1)
    context.many("kernel_shape")

    def convolve(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
        strides, dilations, before, after = window.over(x.shape[2:], w.shape[2:])
        padded = torch.nn.functional.pad(x, both_ends(before, after))
        return CONV[x.ndim - 2](padded, w, bias, strides, 0, dilations, groups)

    return convolve


@op("ConvInteger")
def conv_integer(context: OperatorContext) -> Run:
    """Exact in float64."""
    convolve = _convolution(context)

    def product(x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None) -> Tensor:
        return convolve(_integers(x, x_zero, 0), _integers(w, w_zero, 0)).to(torch.int32)

    return product


@op("QLinearConv", exact=(1, 4, 6))
def qlinear_conv(context: OperatorContext) -> Run:
    """Dequantised, convolved and quantised again."""
    convolve = _convolution(context)

    def product(
        x: Tensor, xs: Tensor, xz: Tensor, w: Tensor, ws: Tensor, wz: Tensor, ys: Tensor, yz: Tensor, b: Any = None
    ) -> Tensor:
        bias = None if b is None else b.to(torch.float32) * xs * ws
        result = convolve(dequantised(x, xs, xz), dequantised(w, ws, wz, 0), bias)
        return quantised(result, ys, yz, 1, yz.dtype)

    return product


@op("QLinearMatMul", exact=(1, 4, 6))
def qlinear_matmul(_: OperatorContext) -> Run:
    """Dequantised, multiplied and quantised again."""

    def product(
        a: Tensor, a_s: Tensor, az: Tensor, b: Tensor, bs: Tensor, bz: Tensor, ys: Tensor, yz: Tensor
    ) -> Tensor:
        result = dequantised(a, a_s, az, a.ndim - 2) @ dequantised(b, bs, bz, b.ndim - 1)
        return quantised(result, ys, yz, result.ndim - 1, yz.dtype)

    return product
