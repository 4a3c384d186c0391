"""The arithmetic of operators, counted from their shapes."""

import pytest

from partway.partitioner.graph.flops import multiply_adds


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
