"""The small TFLite models as graphs, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from partway.partitioner.graph.graph import Graph
from partway.partitioner.slicing import read_graph


@pytest.fixture
def graph_of(tmp_path: Path) -> Callable[[str], Graph]:
    """The graph of one of the small models."""
    from tests.support.tflite_nets import NETS, save

    return lambda name: read_graph(save(tmp_path / f"{name}.tflite", NETS[name]()))
