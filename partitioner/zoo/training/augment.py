"""Distort every training digit slightly each time, as another hand and another pen would.

Randomness comes from the generator passed in, on the CPU: one seed gives the same digits on every device.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MAX_TURN_RAD = math.radians(12)
MAX_SHEAR = 0.15
MAX_STRETCH = 0.12
MAX_SHIFT = 2.2 / 14
"""In half image sides, the unit of torch's sampling grids: 2.2 pixels."""

WOBBLE = 0.045
"""Standard deviation of the elastic displacement of a coarse 5 x 5 grid, in half image sides."""

MAX_THICKER = 0.7
MAX_THINNER = 0.4
"""How far a stroke goes towards one pixel more, or less, on each side."""


def augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Distorted copies of light-on-dark images [batch, 1, height, width], values 0..1, of the same shape."""
    return _repenned(_warped(images, generator), generator)


def _warped(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turned, sheared, stretched, shifted and bent elastically."""
    from torch.nn import functional

    count, size = images.shape[0], (images.shape[2], images.shape[3])
    grid = functional.affine_grid(_affine(count, generator), [count, 1, *size], align_corners=False)
    grid = grid + _wobble(count, size, generator)
    return functional.grid_sample(images, grid.to(images.device), align_corners=False)


def _affine(count: int, generator: torch.Generator) -> torch.Tensor:
    """Random affine maps [count, 2, 3] from output to input coordinates."""
    import torch

    turn, shear, wide, tall, right, down = _uniform(6, count, generator)
    turn, shear = turn * MAX_TURN_RAD, shear * MAX_SHEAR
    wide, tall = torch.exp(wide * MAX_STRETCH), torch.exp(tall * MAX_STRETCH)
    cos, sin = torch.cos(turn), torch.sin(turn)
    rows = [wide * cos, shear - sin, right * MAX_SHIFT, sin, tall * cos, down * MAX_SHIFT]
    return torch.stack(rows, dim=1).reshape(count, 2, 3)


def _wobble(count: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Smooth random displacements [count, height, width, 2]."""
    import torch
    from torch.nn import functional

    coarse = torch.randn(count, 2, 5, 5, generator=generator) * WOBBLE
    fine = functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
    return fine.permute(0, 2, 3, 1)


def _repenned(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Strokes made thicker or thinner."""
    import torch
    from torch.nn import functional

    (amount,) = _uniform(1, images.shape[0], generator).to(images.device)
    amount = amount.reshape(-1, 1, 1, 1)
    thicker = functional.max_pool2d(images, 3, stride=1, padding=1)
    thinner = -functional.max_pool2d(-images, 3, stride=1, padding=1)
    towards_thick = (amount * MAX_THICKER).clamp(min=0) * (thicker - images)
    towards_thin = (-amount * MAX_THINNER).clamp(min=0) * (thinner - images)
    return torch.clamp(images + towards_thick + towards_thin, 0, 1)


def _uniform(rows: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """[rows, count] numbers from -1 to 1."""
    import torch

    return torch.rand(rows, count, generator=generator) * 2 - 1
