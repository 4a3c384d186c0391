"""The graph: its operators, the values between them, and what crosses a cut."""

import pytest

from partway.errors import InputError
from partway.partitioner.graph.graph import Graph, Operator, members
from partway.proto.tensors import TensorSpec


def diamond() -> Graph:
    """One operator, two branches that share a weight, and their sum."""
    operators = (
        Operator("first", "Conv", ("in",), ("x",), ("w1",), 100),
        Operator("left", "Conv", ("x",), ("l",), ("shared",), 20),
        Operator("right", "Conv", ("x",), ("r",), ("shared", "w2"), 30),
        Operator("end", "Add", ("l", "r"), ("out",), (), 4),
    )
    specs = {name: TensorSpec(name, "float32", (None, 8)) for name in ("in", "x", "l", "r", "out")}
    return Graph(operators, specs, {"w1": 10, "shared": 1000, "w2": 5}, ("in",), ("out",))


def test_members_lists_a_set_in_topological_order():
    """A bit mask reads as the indices of its bits."""
    assert list(members(0b10110)) == [1, 2, 4]
    assert list(members(0)) == []


def test_ancestors_and_descendants_follow_the_values():
    """Each operator with all it needs, and with all that needs it."""
    graph = diamond()
    assert graph.ancestors == (0b0001, 0b0011, 0b0101, 0b1111)
    assert graph.descendants == (0b1111, 0b1010, 0b1100, 0b1000)


def test_what_crosses_is_what_exists_and_is_still_read():
    """Every value once, in the order in which they come into being; a finished model leaves nothing."""
    graph = diamond()
    assert graph.crossing(0) == ("in",)
    assert graph.crossing(0b0001) == ("x",)
    assert graph.crossing(0b0011) == ("x", "l")
    assert graph.crossing(0b0111) == ("l", "r")
    assert graph.crossing(0b1111) == ()


def test_work_and_weights_add_up_and_a_shared_weight_counts_once():
    """Over any set of operators."""
    graph = diamond()
    assert graph.work(0b0110) == 50
    assert graph.weight_bytes(0b0110) == 1005
    assert graph.traffic_bytes(0b1000) == 3 * 32


def test_bytes_are_those_of_batch_one_unless_the_reader_knew_better():
    """A dynamic dimension counts as one; a merged one (batch times heads, say) as what it is at batch one."""
    graph = diamond()
    assert graph.size_bytes("x") == 32
    assert (
        Graph(graph.operators, graph.values, {"w1": 0, "shared": 0, "w2": 0}, ("in",), ("out",), {"x": 384}).size_bytes(
            "x"
        )
        == 384
    )


def test_operators_out_of_order_or_a_value_made_twice_are_refused():
    """The graph is checked where it is made."""
    one, two = Operator("one", "Relu", ("in",), ("a",)), Operator("two", "Relu", ("a",), ("b",))
    with pytest.raises(InputError, match="`two` reads `a`"):
        Graph((two, one), {}, {}, ("in",), ("b",))
    with pytest.raises(InputError, match="made twice, the second time by `again`"):
        Graph((one, Operator("again", "Relu", ("in",), ("a",))), {}, {}, ("in",), ("a",))
