"""A TFLite model's main subgraph taken apart."""

import pytest

pytest.importorskip("ai_edge_litert")
from partway.partitioner.formats.tflite.subgraph import unique_names


def test_names_that_several_tensors_have_are_told_apart():
    """The first keeps its own; no name is taken from another tensor; the same each time."""
    names = ["a", "", "a", "a_1", "a", ""]
    assert unique_names(names) == ["a", "tensor_1", "a_2", "a_1", "a_3", "tensor_5"]


def test_bodies_are_inside_their_operator(graph_of):
    """Their weights are its constants."""
    operator = graph_of("conditional").operators[1]
    assert (operator.name, operator.kind, operator.inputs) == ("middle", "IF", ("on", "first"))
    assert len(operator.constants) == 2
