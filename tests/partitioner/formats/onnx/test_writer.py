"""ONNX files as they are written: one file, or weights beside it."""

import hashlib
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper
from tests.support.architectures import wide
from tests.support.chains import agrees, feeds_for, run, session
from tests.support.sliced import slice_file

from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.formats.onnx import writer as onnx_write
from partway.partitioner.plan.plan import StageFile


def test_external_weights_move_into_the_stages(tmp_path):
    """A stage under two gigabytes is one file, wherever the model keeps its weights."""
    path = tmp_path / "model.onnx"
    model = wide(4, 64)
    feeds = feeds_for(model, {}, 3)
    want = session_of(model, tmp_path / "whole.onnx", feeds)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="data")
    stages = slice_file(path, [Cut(("layer1",))], tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["stage0.onnx", "stage1.onnx"]
    got = run([session(tmp_path / "out" / stage.file) for stage in stages], feeds)
    assert agrees(got["layer3"], want["layer3"])


def session_of(model, path, feeds):
    onnx.save(model, path)
    return run([session(path)], feeds)


def test_a_stage_too_large_for_one_file_keeps_its_weights_beside_it(tmp_path, monkeypatch):
    """ONNX Runtime finds them; the digest covers them by the checksum in the stage file."""
    monkeypatch.setattr(onnx_write, "LARGEST_FILE_BYTES", 40_000)
    path = tmp_path / "model.onnx"
    model = wide(4, 64)
    feeds = feeds_for(model, {}, 3)
    want = session_of(model, tmp_path / "whole.onnx", feeds)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="data")
    out = tmp_path / "out"
    stages = slice_file(path, [Cut(("layer0",))], out)
    assert sorted(file.name for file in out.iterdir()) == ["stage0.onnx", "stage1.onnx", "stage1.onnx.data"]
    assert agrees(run([session(out / stage.file) for stage in stages], feeds)["layer3"], want["layer3"])
    data = (out / "stage1.onnx.data").read_bytes()
    tensor = onnx.load(out / "stage1.onnx", load_external_data=False).graph.initializer[0]
    entries = {entry.key: entry.value for entry in tensor.external_data}
    assert entries["checksum"] == hashlib.sha256(data).hexdigest()
    assert stages[1].data == StageFile("stage1.onnx.data", hashlib.sha256(data).hexdigest(), len(data))
    assert stages[1].size_bytes == (out / "stage1.onnx").stat().st_size
    assert stages[1].total_bytes == stages[1].size_bytes + len(data)
    assert stages[0].data is None


PEAK = """
import sys
from pathlib import Path
from partway.partitioner.plan.plan_file import save_plan
from partway.partitioner.slicing import make_plan
plan = make_plan(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","))
save_plan(plan, Path(sys.argv[2]))
peak = next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))
print(int(peak) * 1024, len(plan.stages))
"""


def measured(path, out, cuts: str) -> tuple[int, int]:
    """Seconds, peak bytes of memory and stages of slicing in a process of its own."""
    command = [sys.executable, "-c", PEAK, str(path), str(out), cuts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, stages = done.stdout.split()
    return int(peak), int(stages)


def test_slicing_a_hundred_megabytes_takes_little_memory(tmp_path):
    """Less than three times the model, the interpreter and its packages included."""
    path = tmp_path / "large.onnx"
    onnx.save(wide(7, 1900), path)
    size_bytes = path.stat().st_size
    assert size_bytes > 100_000_000
    peak_bytes, stages = measured(path, tmp_path / "out", "layer1,layer4")
    assert stages == 3
    assert peak_bytes < 3 * size_bytes


RUN = """
import sys
from pathlib import Path
import numpy as np
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan_file import load_plan
folder = Path(sys.argv[1])
chain = load_folder(folder, load_plan(folder), engine_for("onnx", 1))
ids = np.array([[0, 7, 559_999], [7, 7, 7]], np.int64)
print(*chain.run({"ids": ids}, 0, 2)["y"][:, 0])
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("RssAnon")))
"""


@pytest.mark.slow
def test_a_model_of_more_than_two_gigabytes_is_sliced_and_runs(tmp_path):
    """Its table of words is a sparse file, zeros but for one row: copied and mapped, never loaded, holes stay holes."""
    rows, width = 560_000, 1_000
    table_bytes = rows * width * 4
    assert table_bytes > 2**31
    with (tmp_path / "data").open("wb") as file:
        file.truncate(table_bytes + width * 4)
        file.seek(7 * width * 4)
        file.write(b"\0\0\0\x3f" * width)  # a half, a thousand times
        file.seek(table_bytes)
        file.write(b"\0\0\x80\x3f" * width)
    tensors, places = [], {"table": ([rows, width], 0, table_bytes), "w": ([width, 1], table_bytes, width * 4)}
    for name, (dims, offset, length) in places.items():
        tensor = TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "data"), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("ReduceSum", ["words", "axis"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["sum", "w"], ["y"]),
    ]
    tensors.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    values = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", 3]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1]),
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], tensors)
    path, out = tmp_path / "model.onnx", tmp_path / "out"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())

    peak_bytes, stages = measured(path, out, "sum")
    assert stages == 2
    assert peak_bytes < 300_000_000
    assert sorted(file.name for file in out.glob("stage*")) == ["stage0.onnx", "stage0.onnx.data", "stage1.onnx"]
    assert (out / "stage0.onnx.data").stat().st_size == table_bytes
    assert sum(file.stat().st_blocks * 512 for file in out.iterdir()) < 100_000_000

    done = subprocess.run([sys.executable, "-c", RUN, str(out)], capture_output=True, text=True, check=True)
    answers, own_kib = done.stdout.splitlines()
    assert answers.split() == ["500.0", "1500.0"]
    assert int(own_kib) < 200_000
