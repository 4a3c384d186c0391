"""ONNX operators that work number by number: arithmetic, comparison, activations, casts."""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

import torch
import torch.nn.functional as f
from torch import Tensor

from partway.engines.torch.operator_table import OperatorContext, Run, number, op, plain

for _kind, _run in {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Neg": torch.neg, "Abs": torch.abs, "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal, "Exp": torch.exp, "Log": torch.log, "Ceil": torch.ceil, "Floor": torch.floor,
    "Round": torch.round, "Sign": torch.sign, "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan, "Asin": torch.asin,
    "Acos": torch.acos, "Atan": torch.atan, "Sinh": torch.sinh, "Cosh": torch.cosh, "Tanh": torch.tanh,
    "Asinh": torch.asinh, "Acosh": torch.acosh, "Atanh": torch.atanh, "Erf": torch.erf, "Not": torch.logical_not,
    "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor, "Equal": torch.eq, "Less": torch.lt,
    "Greater": torch.gt, "GreaterOrEqual": torch.ge, "LessOrEqual": torch.le, "IsNaN": torch.isnan,
    "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or, "BitwiseXor": torch.bitwise_xor,
    "BitwiseNot": torch.bitwise_not, "Where": torch.where, "Relu": torch.relu, "Sigmoid": torch.sigmoid,
    "Softsign": f.softsign, "Softplus": partial(f.softplus, threshold=1e9), "Mish": f.mish,
    "HardSwish": f.hardswish,
}.items():  # fmt: skip
    if isinstance(_run, partial):
        _run.__name__ = _kind.lower()  # type: ignore[attr-defined]
    plain(_kind, _run)


@op("Identity")
def identity(_: OperatorContext) -> Run:
    """The value itself."""

    def same(x: Tensor) -> Tensor:
        return x

    return same


@op("Div")
def div(_: OperatorContext) -> Run:
    """Integers are divided towards zero."""

    def divide(a: Tensor, b: Tensor) -> Tensor:
        return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")

    return divide


@op("Pow")
def power(_: OperatorContext) -> Run:
    """The result has the base's type."""

    def raised(a: Tensor, b: Tensor) -> Tensor:
        return torch.pow(a, b).to(a.dtype)

    return raised


@op("Mod")
def mod(context: OperatorContext) -> Run:
    """With ``fmod`` the sign is the dividend's, else the divisor's."""
    run: Run = torch.fmod if context.integer("fmod", 0) else torch.remainder
    return run


@op("BitShift")
def bit_shift(context: OperatorContext) -> Run:
    """Left or right."""
    run: Run = torch.bitwise_left_shift if context.text("direction") == "LEFT" else torch.bitwise_right_shift
    return run


def _folded(run: Run) -> Any:
    def factory(_: OperatorContext) -> Run:
        def fold(*values: Tensor) -> Tensor:
            return reduce(run, values)

        return fold

    return factory


for _kind, _run in {"Min": torch.minimum, "Max": torch.maximum, "Sum": torch.add}.items():
    op(_kind)(_folded(_run))


@op("Mean")
def mean(_: OperatorContext) -> Run:
    """Of any number of tensors."""

    def average(*values: Tensor) -> Tensor:
        return reduce(torch.add, values) / len(values)

    return average


@op("Clip", literal=(1, 2))
def clip(context: OperatorContext) -> Run:
    """Bounds are inputs, and attributes before opset 11."""
    low, high = context.real("min", None), context.real("max", None)

    def clipped(x: Tensor, least: Any = low, most: Any = high) -> Tensor:
        least = number(least) if isinstance(least, tuple) else least
        most = number(most) if isinstance(most, tuple) else most
        if least is None and most is None:
            return x
        if isinstance(least, Tensor) == isinstance(most, Tensor):  # torch takes two of a kind
            return torch.clamp(x, least, most)
        x = x if least is None else torch.clamp(x, min=least)
        return x if most is None else torch.clamp(x, max=most)

    return clipped


@op("Cast")
def cast(context: OperatorContext) -> Run:
    """To another type; what is cast to float32 becomes what the engine computes in."""
    context.integer("saturate", 1), context.text("round_mode", "up")
    to = context.dtype("to")

    def cast_to(x: Tensor) -> Tensor:
        return x.to(to)

    return cast_to


@op("CastLike")
def cast_like(context: OperatorContext) -> Run:
    """To another tensor's type."""
    context.integer("saturate", 1), context.text("round_mode", "up")

    def cast_as(x: Tensor, like: Tensor) -> Tensor:
        return x.to(like.dtype)

    return cast_as


@op("Dropout", literal=(1, 2))
def dropout(context: OperatorContext) -> Run:
    """Nothing, outside training."""
    context.real("ratio", 0.5), context.integer("seed", 0), context.integer("is_test", 1)
    both = context.output_count > 1

    def cache(x: Tensor, ratio: Any = None, training: Any = None) -> Any:
        return (x, torch.ones_like(x, dtype=torch.bool)) if both else x

    return cache


@op("IsInf")
def is_inf(context: OperatorContext) -> Run:
    """Either sign may be left out."""
    negative, positive = context.integer("detect_negative", 1), context.integer("detect_positive", 1)

    def infinite(x: Tensor) -> Tensor:
        found = torch.isinf(x)
        if not negative:
            found = found & (x > 0)
        return found if positive else found & (x < 0)

    return infinite


@op("LeakyRelu")
def leaky_relu(context: OperatorContext) -> Run:
    """Source of defaults here and below: the ONNX operator specification."""
    alpha = context.real("alpha", 0.01)

    def leaky(x: Tensor) -> Tensor:
        return f.leaky_relu(x, alpha)

    return leaky


@op("PRelu")
def prelu(_: OperatorContext) -> Run:
    """The slope is broadcast as any other operand."""

    def sloped(x: Tensor, slope: Tensor) -> Tensor:
        return torch.where(x < 0, x * slope, x)

    return sloped


@op("Elu")
def elu(context: OperatorContext) -> Run:
    """Exponential below zero."""
    alpha = context.real("alpha", 1.0)

    def bent(x: Tensor) -> Tensor:
        return f.elu(x, alpha)

    return bent


@op("Celu")
def celu(context: OperatorContext) -> Run:
    """Continuously differentiable Elu."""
    alpha = context.real("alpha", 1.0)

    def bent(x: Tensor) -> Tensor:
        return f.celu(x, alpha)

    return bent


@op("Selu")
def selu(context: OperatorContext) -> Run:
    """Scaled Elu."""
    alpha, gamma = context.real("alpha", 1.67326319217681884765625), context.real("gamma", 1.05070102214813232421875)

    def bent(x: Tensor) -> Tensor:
        return gamma * f.elu(x, alpha)

    return bent


@op("ThresholdedRelu")
def thresholded(context: OperatorContext) -> Run:
    """Zero up to alpha."""
    alpha = context.real("alpha", 1.0)

    def over(x: Tensor) -> Tensor:
        return torch.where(x > alpha, x, 0)

    return over


@op("HardSigmoid")
def hard_sigmoid(context: OperatorContext) -> Run:
    """max(0, min(1, alpha x + beta))."""
    alpha, beta = context.real("alpha", 0.2), context.real("beta", 0.5)

    def hard(x: Tensor) -> Tensor:
        return torch.clamp(x * alpha + beta, 0, 1)

    return hard


@op("Swish")
def swish(context: OperatorContext) -> Run:
    """X sigmoid(alpha x)."""
    alpha = context.real("alpha", 1.0)

    def gated(x: Tensor) -> Tensor:
        return x * torch.sigmoid(alpha * x)

    return gated


@op("Shrink")
def shrink(context: OperatorContext) -> Run:
    """Towards zero by a bias, and to zero near it."""
    bias, lambd = context.real("bias", 0.0), context.real("lambd", 0.5)

    def shrunk(x: Tensor) -> Tensor:
        return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))

    return shrunk


@op("Gelu", domains=("", "com.microsoft"))
def gelu(context: OperatorContext) -> Run:
    """Exact, or by tanh."""
    approximate = context.text("approximate", "none")

    def bent(x: Tensor) -> Tensor:
        return f.gelu(x, approximate=approximate)

    return bent


@op("Softmax", "LogSoftmax", "Hardmax")
def softmax(context: OperatorContext) -> Run:
    """Along an axis; before opset 13 over all dimensions from it on."""
    axis = context.integer("axis", -1 if context.opset >= 13 else 1)
    flattens = context.opset < 13
    along = {"Softmax": torch.softmax, "LogSoftmax": torch.log_softmax, "Hardmax": _hardmax}[context.operator.kind]

    def normalised(x: Tensor) -> Tensor:
        if not flattens:
            return along(x, axis)
        first = axis % x.ndim if x.ndim else 0
        rows = x.shape[:first].numel()
        return along(x.reshape(rows, -1), 1).reshape(x.shape)

    return normalised


def _hardmax(x: Tensor, axis: int) -> Tensor:
    return torch.zeros_like(x).scatter_(axis, x.argmax(axis, keepdim=True), 1)
