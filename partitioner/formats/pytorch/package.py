"""Import torch, or raise an error that says how to install it."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from partway.errors import MissingPackage

INSTALL = "pip install 'partway[torch]' (the CPU build is enough)"
LOUD = ("torch", "torch.onnx", "onnxscript", "onnx_ir")


def import_torch() -> Any:
    """The torch package. Raises MissingPackage, naming the extra, when it or its ONNX exporter cannot be imported."""
    try:
        import onnxscript  # noqa: F401 - what torch.onnx exports with
        import torch
        import torch.onnx
    except ImportError as error:
        raise MissingPackage(
            f"PyTorch models need torch and onnxscript ({error.name} is missing): {INSTALL}"
        ) from error
    return torch


@contextmanager
def silenced() -> Iterator[None]:
    """Suppress torch.export's own prints and logs; its errors are raised anyway."""
    loggers = [logging.getLogger(name) for name in (*LOUD, "torch.export", "torch.fx.experimental.symbolic_shapes")]
    loggers += [logging.getLogger("torch._subclasses.fake_tensor")]
    levels = [logger.level for logger in loggers]
    nowhere = open(os.devnull, "w")  # noqa: SIM115, PTH123 - closed below
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
