"""Multiply-adds of TFLite operators."""

import pytest

pytest.importorskip("ai_edge_litert")
from partway.partitioner.slicing import read_graph


@pytest.mark.parametrize(
    ("file", "operators", "multiply_adds"),
    [
        ("kws_ref_model.tflite", 13, 2_656_768),
        ("pretrainedResnet.tflite", 16, 12_501_632),
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", 68, 300_775_552),
    ],
)
def test_real_models_have_the_published_work(data, file, operators, multiply_adds):
    """MLPerf Tiny, and MobileNetV2 (300,774,272) with a class more: convolutions and matrices are nearly all of it."""
    graph = read_graph(data / "tflite" / file)
    assert len(graph.operators) == operators
    heavy = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    assert sum(operator.work for operator in graph.operators if operator.kind in heavy) == multiply_adds
    assert sum(operator.work for operator in graph.operators) < 1.01 * multiply_adds
