"""Stage files: what is in them, how large they are, what they take to write."""

import hashlib
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper
from tests.support.architectures import ARCHITECTURES, Net
from tests.support.chains import agrees, feeds_for, run, session

from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.cuts.stages import stage_values
from partway.partitioner.formats.onnx import writer as onnx_write
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.formats.onnx.slicer import slice_model, slice_onnx
from partway.partitioner.graph.graph import Graph, Operator
from partway.partitioner.plan.plan import Plan, StageFile
from partway.partitioner.slicing import choose_cuts, make_plan, open_model
from partway.proto.tensors import TensorSpec


@pytest.fixture
def save(tmp_path):
    """Write one of the small architectures to a file."""

    def saver(name):
        path = tmp_path / f"{name}.onnx"
        onnx.save(ARCHITECTURES[name]().model, path)
        return path

    return saver


def wide(layers: int, width: int) -> onnx.ModelProto:
    """A row of large matrices."""
    net, x = Net(), "x"
    for layer in range(layers):
        x = net.op("Relu", net.op("MatMul", x, net.weight(width, width, scale=0.02)), out=f"layer{layer}")
    return net.model([("x", ["batch", width])], [(x, ["batch", width])])


def test_stages_are_described_by_what_they_read_and_make(save, tmp_path):
    """Inputs, outputs, digests and sizes are those of the files."""
    out = tmp_path / "out"
    stages = slice_onnx(save("chain"), [Cut(("maxpool3_0",)), Cut(("relu9_0",))], out)
    assert [stage.file for stage in stages] == ["stage0.onnx", "stage1.onnx", "stage2.onnx"]
    assert [[spec.name for spec in stage.inputs] for stage in stages] == [["image"], ["maxpool3_0"], ["relu9_0"]]
    assert stages[0].outputs == (TensorSpec("maxpool3_0", "float32", (None, 8, 8, 8)),)
    for stage in stages:
        content = (out / stage.file).read_bytes()
        assert stage.digest == hashlib.sha256(content).hexdigest()
        assert stage.size_bytes == len(content)


def test_a_value_that_passes_through_is_in_no_stage_between(save, tmp_path):
    """The scale joins at the end: the stages before neither read nor copy it."""
    path = save("two_inputs")
    cuts = choose_cuts(open_model(path).graph, ["right+scale+flatten6_0", "scale+concat14_0"])
    stages = slice_onnx(path, cuts, tmp_path / "out")
    read = [{spec.name for spec in stage.inputs} for stage in stages]
    assert read == [{"left"}, {"right", "flatten6_0"}, {"scale", "concat14_0"}]
    assert all("scale" not in {spec.name for spec in stage.outputs} for stage in stages)


def test_an_early_model_output_is_an_output_of_the_stage_that_makes_it(save, tmp_path):
    """Although the cut after the stage does not hold it."""
    stages = slice_onnx(save("detector"), [Cut(("maxpool8_0", "reshape12_0"))], tmp_path / "out")
    assert {spec.name for spec in stages[0].outputs} == {"early", "boxes", "maxpool8_0", "reshape12_0"}
    assert {spec.name for spec in stages[1].outputs} == {"scores"}


def test_the_same_model_and_cuts_give_the_same_bytes(save, tmp_path):
    """Digests can be compared between machines and days."""
    for name in ("transformer", "conditional", "local_functions"):
        path = save(name)
        cuts = [frontier.cut for frontier in legal_cuts(open_onnx(path).graph)][::3]
        first = slice_onnx(path, cuts, tmp_path / "first")
        assert slice_onnx(path, cuts, tmp_path / "second") == first


def test_every_weight_is_in_exactly_one_stage(tmp_path):
    """All stages together are hardly larger than the model."""
    path = tmp_path / "wide.onnx"
    onnx.save(wide(6, 200), path)
    cuts = [Cut((f"layer{layer}",)) for layer in range(5)]
    stages = slice_onnx(path, cuts, tmp_path / "out")
    assert sum(stage.size_bytes for stage in stages) <= 1.02 * path.stat().st_size


def test_a_shared_weight_goes_to_each_stage_that_uses_it(save, tmp_path):
    """The one exception; a stage that does not use it has it not."""
    path = save("shared_weights")
    stages = slice_onnx(path, [Cut(("relu1_0",)), Cut(("relu5_0",)), Cut(("maxpool8_0",))], tmp_path / "out")
    holders = [
        stage.file
        for stage in stages
        if "w0" in {tensor.name for tensor in onnx.load(tmp_path / "out" / stage.file).graph.initializer}
    ]
    assert holders == ["stage1.onnx", "stage2.onnx"]


def test_what_describes_the_model_stays_with_its_stages(save, tmp_path):
    """Opsets, IR version, producer, metadata, value descriptions, and the functions that a stage really calls."""
    path = save("local_functions")
    model = onnx.load(path)
    model.metadata_props.add(key="trained", value="yesterday")
    model.doc_string = "a test"
    model.graph.value_info.add().CopyFrom(helper.make_tensor_value_info("block2_0", TensorProto.FLOAT, ["N", 4, 2, 2]))
    onnx.save(model, path)
    out = tmp_path / "out"
    slice_onnx(path, [Cut(("maxpool1_0",)), Cut(("block2_0",))], out)
    first, second, third = (onnx.load(out / f"stage{at}.onnx") for at in range(3))
    for stage in (first, second, third):
        assert (stage.ir_version, stage.producer_name, stage.doc_string) == (8, "tests", "a test")
        assert stage.metadata_props == model.metadata_props
        assert stage.opset_import == model.opset_import
    assert {function.name for function in first.functions} == {"Block", "Swish"}
    assert not third.functions


def test_a_model_with_dynamic_batch_stays_dynamic_under_its_own_name(save, tmp_path):
    """Each stage calls the batch what the model calls it; other open dimensions have the size that was planned."""
    path = save("mobile")
    slice_model(open_onnx(path, {"image": (None, 3, 16, 24)}), [Cut(("relu1_0",))], tmp_path / "out")
    value = onnx.load(tmp_path / "out" / "stage1.onnx").graph.input[0]
    dims = value.type.tensor_type.shape.dim
    assert dims[0].dim_param == "batch"
    assert [dim.dim_value for dim in dims][1:] == [4, 8, 12]


def test_a_stage_that_reads_an_undeclared_value_is_refused():
    """The slice is checked before it is written, and the value is named."""
    operators = (Operator("a", "Relu", ("x",), ("a",)), Operator("b", "Add", ("a", "x"), ("b",)))
    graph = Graph(operators, {}, {}, ("x",), ("b",))
    assert stage_values(graph, 0b10, ("x", "a"), ("b",)) == (("x", "a"), ("b",))
    with pytest.raises(InputError, match="reads `x`, which the cut before it does not hold"):
        stage_values(graph, 0b10, ("a",), ("b",))


@pytest.mark.parametrize(("cuts", "message"), [
    ([("relu9_0",), ("maxpool3_0",)], "cut relu9_0 does not come before the next one"),
    ([("relu9_0",), ("relu9_0",)], "cut relu9_0 does not come before the next one"),
    ([("image",)], "one side of the cut image"),
])  # fmt: skip
def test_cuts_that_are_not_nested_are_refused(cuts, message, save, tmp_path):
    """They come from input to output, each with something between it and the next."""
    with pytest.raises(InputError, match=message):
        slice_onnx(save("chain"), [Cut(values) for values in cuts], tmp_path / "out")


def test_external_weights_move_into_the_stages(tmp_path):
    """A stage under two gigabytes is one file, wherever the model keeps its weights."""
    path = tmp_path / "model.onnx"
    model = wide(4, 64)
    feeds = feeds_for(model, {}, 3)
    want = session_of(model, tmp_path / "whole.onnx", feeds)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="data")
    stages = slice_onnx(path, [Cut(("layer1",))], tmp_path / "out")
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
    stages = slice_onnx(path, [Cut(("layer0",))], out)
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
import sys, time
from pathlib import Path
from partway.partitioner.plan.plan import save_plan
from partway.partitioner.slicing import make_plan
start = time.perf_counter()
plan = make_plan(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","))
save_plan(plan, Path(sys.argv[2]))
seconds = time.perf_counter() - start
peak = next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))
print(seconds, int(peak) * 1024, len(plan.stages))
"""


def measured(path, out, cuts: str) -> tuple[float, int, int]:
    """Seconds, peak bytes of memory and stages of slicing in a process of its own."""
    command = [sys.executable, "-c", PEAK, str(path), str(out), cuts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak, stages = done.stdout.split()
    return float(seconds), int(peak), int(stages)


def test_slicing_a_hundred_megabytes_takes_seconds_and_little_memory(tmp_path):
    """Less than three times the model, the interpreter and its packages included."""
    path = tmp_path / "large.onnx"
    onnx.save(wide(7, 1900), path)
    size_bytes = path.stat().st_size
    assert size_bytes > 100_000_000
    seconds, peak_bytes, stages = measured(path, tmp_path / "out", "layer1,layer4")
    assert stages == 3
    assert seconds < 10
    assert peak_bytes < 3 * size_bytes


RUN = """
import sys
from pathlib import Path
import numpy as np
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan import load_plan
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

    _, peak_bytes, stages = measured(path, out, "sum")
    assert stages == 2
    assert peak_bytes < 300_000_000
    assert sorted(file.name for file in out.glob("stage*")) == ["stage0.onnx", "stage0.onnx.data", "stage1.onnx"]
    assert (out / "stage0.onnx.data").stat().st_size == table_bytes
    assert sum(file.stat().st_blocks * 512 for file in out.iterdir()) < 100_000_000

    done = subprocess.run([sys.executable, "-c", RUN, str(out)], capture_output=True, text=True, check=True)
    answers, own_kib = done.stdout.splitlines()
    assert answers.split() == ["500.0", "1500.0"]
    assert int(own_kib) < 200_000


def test_make_plan_describes_the_chain(save, tmp_path):
    """One cut more than stages, every value of a cut described, the mappings as they were given."""
    plan = make_plan(save("chain"), tmp_path / "out", name="lenet", input={"scale": 2}, output={"labels": ["a"]})
    assert isinstance(plan, Plan)
    assert (plan.model, plan.engine, plan.inputs, plan.outputs) == ("lenet", "onnx", ("image",), ("logits",))
    assert len(plan.cuts) == len(plan.stages) + 1 >= 3
    assert plan.cuts[0].values == ("image",)
    assert plan.cuts[-1].values == ("logits",)
    assert {name for cut in plan.cuts for name in cut.values} == set(plan.tensors)
    assert (plan.input, plan.output) == ({"scale": 2}, {"labels": ["a"]})


def test_cuts_are_named_one_by_one_or_joined_or_beside_the_useful_ones(save):
    """As people write them."""
    graph = open_model(save("two_inputs")).graph
    both = ("scale", "concat14_0")
    assert [cut.values for cut in choose_cuts(graph, "concat14_0+scale")] == [both]
    assert [cut.values for cut in choose_cuts(graph, ["scale + concat14_0"])] == [both]
    chain = open_model(save("chain")).graph
    named = choose_cuts(chain, "auto,relu2_0")
    assert Cut(("relu2_0",)) in named
    assert len(named) > 1


def test_a_model_that_no_cut_separates_is_an_input_error(tmp_path):
    """One operator is a stage and no chain."""
    net = Net()
    net.op("MatMul", "x", net.weight(4, 4), out="y")
    path = tmp_path / "one.onnx"
    onnx.save(net.model([("x", ["N", 4])], [("y", ["N", 4])]), path)
    with pytest.raises(InputError, match="no cut separates"):
        make_plan(path, tmp_path / "out")


def test_a_file_of_another_kind_is_an_input_error(tmp_path):
    """The suffix decides."""
    with pytest.raises(InputError, match=r"Partway reads .*\.onnx"):
        open_model(tmp_path / "model.bin")


def test_the_digest_of_a_model_covers_its_data_files(tmp_path):
    """Another weight, another model."""
    path = tmp_path / "model.onnx"
    onnx.save(wide(2, 64), path, save_as_external_data=True, size_threshold=0, location="data")
    before = open_model(path).digest
    content = bytearray((tmp_path / "data").read_bytes())
    content[100] ^= 1
    (tmp_path / "data").write_bytes(content)
    assert open_model(path).digest != before
