"""TFLite files opened: whole, cut short, of another version."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.tflite_nets import chain, packed, save
from tests.support.tflite_runs import WHOLE, modified, read_and_slice

from partway.errors import InputError
from partway.partitioner.slicing import open_model, read_graph


def test_weights_behind_the_flatbuffer_are_read(tmp_path):
    """How models over 2 GB are written: the flatbuffer says where in the file."""
    whole = chain()
    model = tfl.ModelT.InitFromPackedBuf(whole, 0)
    values = np.array(model.buffers[1].data)
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 1 << 20, len(values)
    start = len(packed(model)) + 16
    model.buffers[1].offset = start
    front = packed(model)
    data = front + bytes(start - len(front)) + values.tobytes()
    graph = read_graph(save(tmp_path / "big.tflite", data))
    assert graph.constants == {"w0": 16, "w1": 16, "w2": 16}
    with pytest.raises(InputError, match="cut short"):
        read_graph(save(tmp_path / "cut.tflite", data[:-1]))


FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


PLACES = st.floats(0, 1, exclude_max=True)


@FUZZ
@given(name=st.sampled_from(sorted(WHOLE)), keep=PLACES)
def test_a_file_cut_short_is_refused(tmp_path, name, keep):
    """At any length. What the writer appends last is needed, so no cut file is a model."""
    data = WHOLE[name][: int(keep * len(WHOLE[name]))]
    said = read_and_slice(save(tmp_path / "m.tflite", data), tmp_path / "out")
    assert said is not None
    assert "m.tflite" in said


@FUZZ
@given(data=st.binary(max_size=400))
def test_bytes_that_only_bear_the_mark_are_refused(tmp_path, data):
    """``TFL3`` at its place, anything else around it."""
    path = save(tmp_path / "m.tflite", data[:4].ljust(4, b"\x10") + b"TFL3" + data[4:])
    assert read_and_slice(path, tmp_path / "out") is not None


@pytest.mark.parametrize("version", [0, 2, 4, 65539])
def test_another_schema_version_is_refused(tmp_path, version):
    """Naming both."""
    path = save(tmp_path / "m.tflite", modified(lambda model: setattr(model, "version", version)))
    with pytest.raises(InputError, match=rf"schema version {version}; Partway reads version 3"):
        open_model(path)


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "is empty; download or export"), (b"\x08\0\0\0ONNX", "lacks the mark")]
)
def test_what_is_no_tflite_file_is_refused(tmp_path, data, says):
    """And a file that is not there."""
    with pytest.raises(InputError, match=says):
        open_model(save(tmp_path / "m.tflite", data))
    with pytest.raises(InputError, match=r"cannot read the model .*No such file"):
        open_model(tmp_path / "none.tflite")


def test_parts_used_again_and_again_are_refused_at_once(tmp_path):
    """A list of a hundred thousand references to one subgraph would take hours to read."""
    model = tfl.Model.GetRootAs(WHOLE["chain"], 0)
    place = model._tab.Pos + model._tab.Offset(8)
    many = 100_000
    data = bytearray(WHOLE["chain"]) + bytes(-len(WHOLE["chain"]) % 4)
    start = len(data)
    target = model.Subgraphs(0)._tab.Pos
    data[place : place + 4] = (start - place).to_bytes(4, "little")
    data += many.to_bytes(4, "little")
    for at in range(start + 4, start + 4 + 4 * many, 4):
        data += ((target - at) % (1 << 32)).to_bytes(4, "little")
    said = read_and_slice(save(tmp_path / "m.tflite", bytes(data)), tmp_path / "out")
    assert said is not None
    assert "damaged" in said


def test_the_command_line_ends_with_a_sentence(tmp_path):
    """Exit code 2, no traceback."""
    path = save(tmp_path / "m.tflite", WHOLE["chain"][:200])
    command = [sys.executable, "-m", "partway", "cuts", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "cut short" in ended.stderr
