"""TFLite files as they are written."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl

from partway.partitioner.slicing import make_plan


def test_weights_lie_on_boundaries_of_16_bytes(data, tmp_path):
    """As schema.fbs demands; the generated classes forget it."""
    for stage in make_plan(data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite", tmp_path).stages:
        content = (tmp_path / stage.file).read_bytes()
        model = tfl.Model.GetRootAs(content, 0)
        base = np.frombuffer(content, np.uint8).ctypes.data
        arrays = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
        assert {(array.ctypes.data - base) % 16 for array in arrays if isinstance(array, np.ndarray)} == {0}
