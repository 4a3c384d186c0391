"""A user's project of PyTorch modules: its name, inputs for it, and a pickle that runs code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
MODULE = "torch_nets"
SIDE = 32


def image(batch: int, seed: int = 0) -> np.ndarray:
    """Random pictures, float32 [batch, 3, SIDE, SIDE]."""
    return np.random.default_rng(seed).random((batch, 3, SIDE, SIDE), dtype=np.float32)


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)
