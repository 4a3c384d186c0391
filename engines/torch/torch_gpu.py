"""What torch sees of GPUs."""

from __future__ import annotations

import warnings

import torch


def gpus() -> int:
    """How many CUDA devices torch can use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver that is too old is said by the count
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def gpu_name(index: int) -> str:
    """The model of a GPU, its memory and torch's version."""
    about = torch.cuda.get_device_properties(index)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"
