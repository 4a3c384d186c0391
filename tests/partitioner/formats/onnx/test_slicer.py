"""Stage files of ONNX models: what is in them."""

import hashlib

import onnx
import pytest
from onnx import TensorProto, helper
from tests.support.architectures import wide
from tests.support.sliced import slice_file

from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.formats.onnx.slicer import slice_model
from partway.partitioner.slicing import choose_cuts, open_model
from partway.proto.tensors import TensorSpec


def test_stages_are_described_by_what_they_read_and_make(saved, tmp_path):
    """Inputs, outputs, digests and sizes are those of the files."""
    out = tmp_path / "out"
    stages = slice_file(saved("chain"), [Cut(("maxpool3_0",)), Cut(("relu9_0",))], out)
    assert [stage.file for stage in stages] == ["stage0.onnx", "stage1.onnx", "stage2.onnx"]
    assert [[spec.name for spec in stage.inputs] for stage in stages] == [["image"], ["maxpool3_0"], ["relu9_0"]]
    assert stages[0].outputs == (TensorSpec("maxpool3_0", "float32", (None, 8, 8, 8)),)
    for stage in stages:
        content = (out / stage.file).read_bytes()
        assert stage.digest == hashlib.sha256(content).hexdigest()
        assert stage.size_bytes == len(content)


def test_a_value_that_passes_through_is_in_no_stage_between(saved, tmp_path):
    """The scale joins at the end: the stages before neither read nor copy it."""
    path = saved("two_inputs")
    cuts = choose_cuts(open_model(path).graph, ["right+scale+flatten6_0", "scale+concat14_0"])
    stages = slice_file(path, cuts, tmp_path / "out")
    read = [{spec.name for spec in stage.inputs} for stage in stages]
    assert read == [{"left"}, {"right", "flatten6_0"}, {"scale", "concat14_0"}]
    assert all("scale" not in {spec.name for spec in stage.outputs} for stage in stages)


def test_an_early_model_output_is_an_output_of_the_stage_that_makes_it(saved, tmp_path):
    """Although the cut after the stage does not hold it."""
    stages = slice_file(saved("detector"), [Cut(("maxpool8_0", "reshape12_0"))], tmp_path / "out")
    assert {spec.name for spec in stages[0].outputs} == {"early", "boxes", "maxpool8_0", "reshape12_0"}
    assert {spec.name for spec in stages[1].outputs} == {"scores"}


def test_the_same_model_and_cuts_give_the_same_bytes(saved, tmp_path):
    """Digests can be compared between machines and days."""
    for name in ("transformer", "conditional", "local_functions"):
        path = saved(name)
        cuts = [frontier.cut for frontier in legal_cuts(open_onnx(path).graph)][::3]
        first = slice_file(path, cuts, tmp_path / "first")
        assert slice_file(path, cuts, tmp_path / "second") == first


def test_every_weight_is_in_exactly_one_stage(tmp_path):
    """All stages together are hardly larger than the model."""
    path = tmp_path / "wide.onnx"
    onnx.save(wide(6, 200), path)
    cuts = [Cut((f"layer{layer}",)) for layer in range(5)]
    stages = slice_file(path, cuts, tmp_path / "out")
    assert sum(stage.size_bytes for stage in stages) <= 1.02 * path.stat().st_size


def test_a_shared_weight_goes_to_each_stage_that_uses_it(saved, tmp_path):
    """The one exception; a stage that does not use it has it not."""
    path = saved("shared_weights")
    stages = slice_file(path, [Cut(("relu1_0",)), Cut(("relu5_0",)), Cut(("maxpool8_0",))], tmp_path / "out")
    holders = [
        stage.file
        for stage in stages
        if "w0" in {tensor.name for tensor in onnx.load(tmp_path / "out" / stage.file).graph.initializer}
    ]
    assert holders == ["stage1.onnx", "stage2.onnx"]


def test_what_describes_the_model_stays_with_its_stages(saved, tmp_path):
    """Opsets, IR version, producer, metadata, value descriptions, and the functions that a stage really calls."""
    path = saved("local_functions")
    model = onnx.load(path)
    model.metadata_props.add(key="trained", value="yesterday")
    model.doc_string = "a test"
    model.graph.value_info.add().CopyFrom(helper.make_tensor_value_info("block2_0", TensorProto.FLOAT, ["N", 4, 2, 2]))
    onnx.save(model, path)
    out = tmp_path / "out"
    slice_file(path, [Cut(("maxpool1_0",)), Cut(("block2_0",))], out)
    first, second, third = (onnx.load(out / f"stage{at}.onnx") for at in range(3))
    for stage in (first, second, third):
        assert (stage.ir_version, stage.producer_name, stage.doc_string) == (8, "tests", "a test")
        assert stage.metadata_props == model.metadata_props
        assert stage.opset_import == model.opset_import
    assert {function.name for function in first.functions} == {"Block", "Swish"}
    assert not third.functions


def test_a_model_with_dynamic_batch_stays_dynamic_under_its_own_name(saved, tmp_path):
    """Each stage calls the batch what the model calls it; other open sizes stay open."""
    path = saved("mobile")
    slice_model(open_onnx(path, {"image": (None, 3, 16, 24)}), [Cut(("relu1_0",))], tmp_path / "out")
    value = onnx.load(tmp_path / "out" / "stage1.onnx").graph.input[0]
    dims = value.type.tensor_type.shape.dim
    assert dims[0].dim_param == "batch"
    assert [dim.dim_value for dim in dims][1:] == [4, 0, 0]


@pytest.mark.parametrize(("cuts", "message"), [
    ([("relu9_0",), ("maxpool3_0",)], "cut relu9_0 does not come before the next one"),
    ([("relu9_0",), ("relu9_0",)], "cut relu9_0 does not come before the next one"),
    ([("image",)], "one side of the cut image"),
])  # fmt: skip
def test_cuts_that_are_not_nested_are_refused(cuts, message, saved, tmp_path):
    """They come from input to output, each with something between it and the next."""
    with pytest.raises(InputError, match=message):
        slice_file(saved("chain"), [Cut(values) for values in cuts], tmp_path / "out")
