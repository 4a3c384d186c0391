"""TFLite files as they are written."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from tests.support.tflite_nets import chain

from partway.errors import InputError
from partway.partitioner.formats.tflite import writer
from partway.partitioner.formats.tflite.writer import write_model
from partway.partitioner.slicing import make_plan


def test_weights_lie_on_boundaries_of_16_bytes(data, tmp_path):
    """As schema.fbs demands; the generated classes forget it."""
    for stage in make_plan(data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite", tmp_path).stages:
        content = (tmp_path / stage.file).read_bytes()
        model = tfl.Model.GetRootAs(content, 0)
        base = np.frombuffer(content, np.uint8).ctypes.data
        arrays = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
        assert {(array.ctypes.data - base) % 16 for array in arrays if isinstance(array, np.ndarray)} == {0}


def test_what_is_written_is_what_is_told(tmp_path):
    """Digest and size are those of the file, which is read back with the same weights."""
    model = tfl.ModelT.InitFromPackedBuf(chain(), 0)
    weights = [None if buffer.data is None else bytes(buffer.data) for buffer in model.buffers]
    digest, size_bytes = write_model(model, tmp_path / "m.tflite")
    content = (tmp_path / "m.tflite").read_bytes()
    assert (digest, size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert content[4:8] == b"TFL3"
    again = tfl.ModelT.InitFromPackedBuf(content, 0)
    assert [None if buffer.data is None else bytes(buffer.data) for buffer in again.buffers] == weights


def test_small_weights_lie_on_boundaries_of_16_bytes_too(tmp_path):
    """Whatever lies before them."""
    write_model(tfl.ModelT.InitFromPackedBuf(chain(("a", "bb", "ccc", "dddddd")), 0), tmp_path / "m.tflite")
    content = (tmp_path / "m.tflite").read_bytes()
    model = tfl.Model.GetRootAs(content, 0)
    base = np.frombuffer(content, np.uint8).ctypes.data
    arrays = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
    places = {(array.ctypes.data - base) % 16 for array in arrays if isinstance(array, np.ndarray)}
    assert places == {0}


def test_a_model_too_large_for_a_flatbuffer_is_refused(tmp_path, monkeypatch):
    """Before anything is written."""
    monkeypatch.setattr(writer, "LARGEST_FLATBUFFER_BYTES", 40)
    with pytest.raises(InputError, match=r"m\.tflite would be over 2 GB, more than a flatbuffer holds; name more cuts"):
        write_model(tfl.ModelT.InitFromPackedBuf(chain(), 0), tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())
