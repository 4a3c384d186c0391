"""Models written to files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a model to a file."""
    onnx = pytest.importorskip("onnx")

    def saver(model: Any, name: str = "model.onnx", **options: Any) -> Path:
        path = tmp_path / name
        onnx.save(model, path, **options)
        return path

    return saver
