"""The graph and the arithmetic of its operators."""

import pytest

from partway.errors import InputError
from partway.partitioner.graph.flops import multiply_adds
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


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs", "attributes", "expected"),
    [
        ("Conv", [(1, 3, 8, 8), (16, 3, 3, 3), (16,)], [(1, 16, 8, 8)], {}, 16 * 64 * 27),
        ("Conv", [(1, 16, 8, 8), (16, 1, 3, 3)], [(1, 16, 8, 8)], {}, 16 * 64 * 9),
        ("ConvTranspose", [(1, 4, 5, 5), (4, 6, 2, 2)], [(1, 6, 10, 10)], {}, 100 * 24),
        ("QLinearConv", [(1, 3, 8, 8), (), (), (16, 3, 1, 1)], [(1, 16, 8, 8)], {}, 16 * 64 * 3),
        ("Gemm", [(1, 64), (64, 10), (10,)], [(1, 10)], {}, 640),
        ("Gemm", [(64, 1), (64, 10)], [(1, 10)], {"transA": 1}, 640),
        ("MatMul", [(1, 4, 7, 16), (1, 4, 16, 7)], [(1, 4, 7, 7)], {}, 4 * 49 * 16),
        ("LSTM", [(9, 1, 5), (2, 24, 5), (2, 24, 6)], [(9, 2, 1, 6)], {}, 9 * 2 * (24 * 5 + 24 * 6)),
        ("MaxPool", [(1, 4, 8, 8)], [(1, 4, 4, 4)], {"kernel_shape": [2, 2]}, 64 * 4),
        ("Einsum", [(2, 3, 4), (2, 4, 5)], [(2, 3, 5)], {"equation": b"bij,bjk->bik"}, 120),
        ("Reshape", [(1, 64), (2,)], [(8, 8)], {}, 0),
        ("Relu", [(1, 64)], [(1, 64)], {}, 64),
        ("Softmax", [(1, 10)], [(1, 10)], {}, 50),
        ("Conv", [None, None], [(1, 4, 8, 8)], {}, 256),
    ],
)
def test_multiply_adds_follow_from_the_shapes(kind, inputs, outputs, attributes, expected):
    """One line per kind of operator, down to one whose weight is unknown."""
    assert multiply_adds(kind, inputs, outputs, attributes) == expected
