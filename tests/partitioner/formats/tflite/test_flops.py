"""Multiply-adds of TFLite operators."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ai_edge_litert")
from partway.partitioner.formats.tflite.flops import multiply_adds
from partway.partitioner.graph.flops import Shapes
from partway.partitioner.slicing import read_graph


@pytest.mark.parametrize(
    ("file", "operators", "published"),
    [
        ("kws_ref_model.tflite", 13, 2_656_768),
        ("pretrainedResnet.tflite", 16, 12_501_632),
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", 68, 300_775_552),
    ],
)
def test_real_models_have_the_published_work(data, file, operators, published):
    """MLPerf Tiny, and MobileNetV2 (300,774,272) with a class more: convolutions and matrices are nearly all of it."""
    graph = read_graph(data / "tflite" / file)
    assert len(graph.operators) == operators
    heavy = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    assert sum(operator.work for operator in graph.operators if operator.kind in heavy) == published
    assert sum(operator.work for operator in graph.operators) < 1.01 * published


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs", "weights", "options", "expected"),
    [
        ("CONV_2D", [(1, 8, 8, 3), (16, 3, 3, 3), (16,)], [(1, 8, 8, 16)], 448, None, 64 * 16 * 27),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 16), (1, 3, 3, 16)], [(1, 8, 8, 16)], 144, None, 64 * 16 * 9),
        ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5)], [(1, 4, 4, 4, 5)], 270, None, 64 * 5 * 54),
        ("TRANSPOSE_CONV", [(4,), (6, 2, 2, 4), (1, 5, 5, 4)], [(1, 10, 10, 6)], 96, None, 100 * 24),
        ("FULLY_CONNECTED", [(1, 64), (10, 64), (10,)], [(1, 10)], 650, None, 640),
        ("BATCH_MATMUL", [(1, 7, 16), (1, 16, 5)], [(1, 7, 5)], 0, SimpleNamespace(adjX=False), 35 * 16),
        ("BATCH_MATMUL", [(1, 16, 7), (1, 16, 5)], [(1, 7, 5)], 0, SimpleNamespace(adjX=True), 35 * 16),
        ("AVERAGE_POOL_2D", [(1, 8, 8, 4)], [(1, 4, 4, 4)], 0, SimpleNamespace(filterHeight=2, filterWidth=3), 64 * 6),
        ("MEAN", [(1, 8, 8, 4), (2,)], [(1, 4)], 0, None, 256),
        ("SOFTMAX", [(1, 10)], [(1, 10)], 0, None, 50),
        ("ADD", [(1, 10), (1, 10)], [(1, 10)], 0, None, 10),
        ("RESHAPE", [(1, 64), (2,)], [(8, 8)], 0, None, 0),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(1, 9, 5)], [(1, 9, 6)], 100, None, 900),
        ("SVDF", [(1, 4)], [(1, 2)], 14, None, 14),
        ("FROBNICATE", [(1, 10)], [(1, 3), (1, 4)], 0, None, 7),
        ("CONV_2D", [None, None], [(1, 8, 8, 16)], 0, None, 1024),
        ("MEAN", [], [(1, 4)], 0, None, 4),
    ],
)
def test_multiply_adds_follow_from_the_shapes(
    kind: str, inputs: Shapes, outputs: Shapes, weights: int, options: Any, expected: int
) -> None:
    """One line per kind of operator, weights laid out as TFLite has them, down to unknown shapes."""
    assert multiply_adds(kind, inputs, outputs, weights, options) == expected


def test_a_picture_larger_than_another_never_takes_less() -> None:
    """Work grows with the output."""
    sizes = [
        multiply_adds("CONV_2D", [(1, side, side, 3), (8, 3, 3, 3)], [(1, side, side, 8)], 216, None)
        for side in range(1, 9)
    ]
    assert sizes == sorted(sizes)
