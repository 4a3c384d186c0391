"""The small architectures as graphs, by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from partway.partitioner.graph.graph import Graph


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Graph]:
    """Read one of the small architectures by name."""
    onnx = pytest.importorskip("onnx")
    from tests.support.architectures import ARCHITECTURES

    from partway.partitioner.formats.onnx.reader import open_onnx

    def reader(name: str) -> Graph:
        architecture = ARCHITECTURES[name]()
        path = tmp_path_factory.mktemp(name) / "model.onnx"
        onnx.save(architecture.model, path)
        return open_onnx(path, architecture.sizes).graph

    return reader
