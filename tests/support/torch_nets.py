"""Modules as people write them: one that works, and some that cannot be exported, each with a line to blame."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Named layers, one called twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x + self.relu(self.bn(self.conv(x))))


class Net(nn.Module):
    """A small classifier with names to find again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.layers = nn.Sequential(Block(8), nn.MaxPool2d(4), Block(8), nn.MaxPool2d(2))
        self.head = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.layers(torch.relu(self.stem(image))).mean((2, 3)))


class Two(nn.Module):
    """Two inputs, two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, image: Tensor, scale: Tensor) -> dict[str, Tensor]:
        logits = self.net(image) * scale
        return {"logits": logits, "best": logits.argmax(1)}


class ByData(nn.Module):
    """Chooses by what is in the tensor."""

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # blame by data
            return x + 1
        return x


class NoCounterpart(nn.Module):
    """Uses what ONNX does not have."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        return torch.special.bessel_j0(y)  # blame operation


class Numpy(nn.Module):
    """Leaves torch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy() * 2)  # blame numpy


class WrongShape(nn.Module):
    """Takes nine numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(9, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)  # blame shape


class NoTensor(nn.Module):
    """Returns a number as well."""

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        return x + 1, 3


class Random(nn.Module):
    """Never answers the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class OneFrame(nn.Module):
    """Works with the batch as with a number."""

    def forward(self, x: Tensor) -> Tensor:
        total = x * 1
        for frame in range(x.shape[0]):
            total = total + x[frame]
        return total


class Raises(nn.Module):
    """Cannot be made."""

    def __init__(self) -> None:
        super().__init__()
        raise ValueError("no such size")


def needs_an_argument(size: int) -> nn.Module:
    return nn.Linear(size, size)


number = 3
