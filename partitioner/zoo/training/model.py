"""The network behind the ``mnist`` model: one table from which both its torch and its ONNX form are made.

It is shaped for splitting: relu3, pool5, relu_fc1 and logits are single tensors, each smaller than the one
before, and all smaller than the input.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PIXEL_MEAN = 0.1307
PIXEL_STD = 0.3081
"""Mean and standard deviation of the training images, pixels scaled to 0..1: the customary MNIST figures."""

INPUT = "image"
OUTPUT = "logits"
SIDE = 28
CLASSES = 10


@dataclass(frozen=True)
class Conv:
    """A convolution of odd ``size``, padded to keep the image's side. Trained with batch normalisation."""

    name: str
    inputs: int
    outputs: int
    size: int = 3


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""

    name: str


@dataclass(frozen=True)
class Pool:
    """Maximum over ``size`` x ``size`` windows every ``stride`` pixels, no padding."""

    name: str
    size: int
    stride: int = 2


@dataclass(frozen=True)
class Flatten:
    """[batch, channels, height, width] to [batch, features]."""

    name: str


@dataclass(frozen=True)
class Dense:
    """A fully connected layer."""

    name: str
    inputs: int
    outputs: int


Layer = Conv | Relu | Pool | Flatten | Dense

LAYERS: tuple[Layer, ...] = (
    Conv("conv1", 1, 16),
    Relu("relu1"),
    Pool("pool1", 2),
    Conv("conv2", 16, 32),
    Relu("relu2"),
    Pool("pool2", 2),
    Conv("conv3", 32, 12),
    Relu("relu3"),
    Conv("conv4", 12, 64),
    Relu("relu4"),
    Conv("conv5", 64, 32),
    Relu("relu5"),
    Pool("pool5", 3),
    Flatten("flatten"),
    Dense("fc1", 3 * 3 * 32, 64),
    Relu("relu_fc1"),
    Dense(OUTPUT, 64, CLASSES),
)
"""Every layer in order; a layer's name is also the name of the value it makes."""


def torch_network() -> torch.nn.Sequential:
    """The trainable form: normalised [batch, 1, 28, 28] in, logits [batch, 10] out."""
    from torch import nn

    return nn.Sequential(OrderedDict(part for layer in LAYERS for part in _torch_parts(layer)))


def _torch_parts(layer: Layer) -> Iterator[tuple[str, torch.nn.Module]]:
    from torch import nn

    match layer:
        case Conv(name, inputs, outputs, size):
            yield name, nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
            yield norm_name(name), nn.BatchNorm2d(outputs)
        case Relu(name):
            yield name, nn.ReLU()
        case Pool(name, size, stride):
            yield name, nn.MaxPool2d(size, stride)
        case Flatten(name):
            yield name, nn.Flatten()
        case Dense(name, inputs, outputs):
            yield name, nn.Linear(inputs, outputs)


def norm_name(conv: str) -> str:
    """The name of the batch normalisation that follows this convolution in the torch form."""
    return f"{conv}_norm"
