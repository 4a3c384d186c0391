"""Costs estimated from a graph alone."""

import pytest
from tests.support.graphs import line

from partway.partitioner.cuts.costs import LEVELS, OPERATOR_S, PICTURES, estimated_costs, estimated_seconds
from partway.partitioner.graph.graph import Graph, Operator
from partway.proto.tensors import TensorSpec


def test_every_value_and_operator_has_a_cost(read) -> None:
    """Bytes fall from level to level, and are never more than the value uncoded."""
    graph = read("inception")
    costs = estimated_costs(graph)
    assert len(costs.coded) == len(LEVELS) == len(PICTURES)
    assert len(costs.operator_s) == len(graph.operators)
    for name in graph.activations:
        sizes = [level[name] for level in costs.coded]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] > 0 and sizes[0] <= graph.size_bytes(name)
        assert costs.coding_s[name] > 0


def test_more_work_takes_longer_and_no_work_takes_nothing() -> None:
    """A reshape is free; arithmetic and memory traffic both count."""
    specs = {name: TensorSpec(name, "float32", (1, 1000)) for name in "abcd"}
    operators = (
        Operator("small", "Conv", ("a",), ("b",), work=10**6),
        Operator("free", "Reshape", ("b",), ("c",)),
        Operator("large", "Conv", ("c",), ("d",), work=10**8),
    )
    small, free, large = estimated_seconds(Graph(operators, specs, {}, ("a",), ("d",)))
    assert OPERATOR_S < small < large / 10
    assert free == 0


def test_an_input_that_can_be_a_picture_competes_as_one() -> None:
    """A tenth of the pixels or so; a row of numbers does not."""
    picture = TensorSpec("a", "float32", (1, 3, 64, 64))
    graph = Graph((Operator("op", "Conv", ("a",), ("b",)),), {"a": picture, "b": picture}, {}, ("a",), ("b",))
    costs = estimated_costs(graph)
    assert costs.picture is not None
    assert all(0.03 < size / (3 * 64 * 64) < 0.5 for size in costs.picture)
    assert list(costs.picture) == sorted(costs.picture, reverse=True)
    assert estimated_costs(line(("", "in", 100), ("A", "a", 5))).picture is None


@pytest.mark.parametrize("level", range(4))
def test_the_middle_level_stands_for_all_in_the_search(level: int) -> None:
    """``typical_bytes`` is that of q6."""
    costs = estimated_costs(line(("", "in", 1000), ("Relu", "a", 500)))
    spec = TensorSpec("a", "uint8", (500,))
    assert (costs.typical_bytes(spec) == costs.coded[level]["a"]) is (LEVELS[level] == "q6")
