"""Fixtures of the training tests: a made-up data set and short options, skipped where torch or onnx is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.mnist_files import write_mnist

from partway.partitioner.zoo.training.record import TrainOptions


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    """Two short epochs on the made-up set."""
    data = write_mnist(tmp_path / "mnist")
    return TrainOptions(data=data, out=tmp_path / "out", epochs=2, batch=32, device="cpu")


@pytest.fixture
def torch() -> Any:
    """The tests that train are skipped where torch or onnx is missing."""
    pytest.importorskip("onnx")
    return pytest.importorskip("torch")
