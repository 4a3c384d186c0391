"""From nested cuts to stages: what each reads and makes."""

import pytest

from partway.errors import InputError
from partway.partitioner.cuts.stages import stage_values
from partway.partitioner.graph.graph import Graph, Operator


def test_a_stage_that_reads_an_undeclared_value_is_refused():
    """The slice is checked before it is written, and the value is named."""
    operators = (Operator("a", "Relu", ("x",), ("a",)), Operator("b", "Add", ("a", "x"), ("b",)))
    graph = Graph(operators, {}, {}, ("x",), ("b",))
    assert stage_values(graph, 0b10, ("x", "a"), ("b",)) == (("x", "a"), ("b",))
    with pytest.raises(InputError, match="reads `x`, which the cut before it does not hold"):
        stage_values(graph, 0b10, ("a",), ("b",))
