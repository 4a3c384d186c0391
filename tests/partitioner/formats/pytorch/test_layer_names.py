"""Exported values have the names of the layers that make them."""

from __future__ import annotations

import pytest
from tests.support.torch_project import MODULE, SIDE

from partway.partitioner.resolve import export
from partway.partitioner.slicing import read_graph

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_values_have_the_names_of_their_layers(here, tmp_path):
    """Every value is called after the layer that makes it, a second call of a layer numbered, a function by its own."""
    export(f"{MODULE}:Net", tmp_path / "net.onnx", [f"1x3x{SIDE}x{SIDE}"])
    graph = read_graph(tmp_path / "net.onnx")
    made = [name for operator in graph.operators for name in operator.outputs]
    assert made == [
        *("stem", "relu", "layers.0.bn", "layers.0.relu", "layers.0.add", "layers.0.relu_1", "layers.1"),
        *("layers.2.bn", "layers.2.relu", "layers.2.add", "layers.2.relu_1", "layers.3", "mean", "head"),
    ]
    assert graph.inputs == ("image",)
    assert str(here).encode() not in (tmp_path / "net.onnx").read_bytes()
