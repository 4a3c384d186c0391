"""A U-Net (Ronneberger et al., MICCAI'15) with half the channels, padded so that the mask has the picture's size.

Its skip connections cross every cut between encoder and decoder: what a chain of stages has to get right.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Twice convolution, normalisation, ReLU; keeps the size."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):  # type: ignore[misc]
    """float32 [N, 3, H, W] to logits [N, classes, H, W]; H and W divisible by 8."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.down = nn.ModuleList(double(a, b) for a, b in pairwise((3, *WIDTHS)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairwise(WIDTHS[::-1]))
        self.merge = nn.ModuleList(double(2 * b, b) for b in WIDTHS[-2::-1])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(WIDTHS[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """The logits of every pixel."""
        skips: list[Tensor] = []
        for level, down in enumerate(self.down):
            image = down(image if not level else self.pool(image))
            skips.append(image)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            image = merge(torch.cat((skips.pop(), up(image)), 1))
        return self.head(image)
