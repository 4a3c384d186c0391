"""Stages of TFLite models: bit-equal to the whole, valid, no larger than they must be."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from PIL import Image
from tests.support.tflite_nets import NETS, chain, changed, packed, save

from partway.engines.registry import engine_for
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.formats.tflite.slicer import slice_tflite
from partway.partitioner.slicing import choose_cuts, make_plan, open_model

MODELS = (
    "kws_ref_model", "kws_ref_model_float32", "pretrainedResnet", "pretrainedResnet_quant",
    "tf2_mobilenet_v2_1.0_224_ptq",
)  # fmt: skip
ENGINE = engine_for("litert", 1)


def real_inputs(data, spec, count):
    """Photographs, CIFAR pictures or, for the keyword model, random spectrograms, as the model's input takes them."""
    if spec.shape[1] == 224:
        files = sorted((data / "imagenet").glob("*.JPEG"))[:count]
        return [np.asarray(Image.open(file).convert("RGB").resize((224, 224)))[None] for file in files]
    if spec.shape[1] == 32:
        images = np.load(data / "cifar10" / "cifar10_test_2000.npz")["images"][:count, None]
        return list(
            (images.astype(np.int16) - 128).astype(np.int8) if spec.dtype == "int8" else images.astype("float32")
        )
    rng = np.random.default_rng(0)
    shape = (count, 1, *spec.shape[1:])
    drawn = rng.integers(-128, 128, shape) if spec.dtype == "int8" else rng.normal(0, 20, shape)
    return list(drawn.astype(spec.dtype))


def random_inputs(graph):
    """One random input of every kind."""
    rng = np.random.default_rng(1)
    shapes = {name: [size or 1 for size in graph.values[name].shape] for name in graph.inputs}
    return {name: rng.standard_normal(shape).astype(graph.values[name].dtype) for name, shape in shapes.items()}


def run_stages(stages, folder, values):
    """Every value after running the stages one after another."""
    live = dict(values)
    for stage in stages:
        live.update(ENGINE.load((folder / stage.file).read_bytes()).run(live))
    return live


@pytest.mark.parametrize("name", MODELS)
def test_every_legal_cut_of_a_real_model_is_bit_exact(data, tmp_path, name):
    """On real inputs, with XNNPACK as it is by default; both stages together are hardly larger than the model."""
    path = data / "tflite" / f"{name}.tflite"
    model = open_model(path)
    (source,) = model.graph.inputs
    inputs = real_inputs(data, model.graph.values[source], 2)
    whole = ENGINE.load(path.read_bytes())
    wanted = [whole.run({source: array}) for array in inputs]
    assert any(not np.array_equal(wanted[0][key], wanted[1][key]) for key in wanted[0])
    cuts = legal_cuts(model.graph)
    assert len(cuts) == len(model.graph.operators) - 1
    for frontier in cuts:
        stages = model.write_stages([frontier.cut], tmp_path)
        assert sum(stage.size_bytes for stage in stages) <= 1.02 * path.stat().st_size
        first, second = (ENGINE.load((tmp_path / stage.file).read_bytes()) for stage in stages)
        for array, want in zip(inputs, wanted, strict=True):
            live = first.run({source: array})
            live.update(second.run(live))
            assert all(np.array_equal(live[key], want[key]) for key in want), str(frontier.cut)


@pytest.mark.parametrize("name", sorted(NETS))
def test_every_cut_of_every_kind_of_model_is_bit_exact(tmp_path, name):
    """Bodies of IF and WHILE, variables, states, widened weights, custom operators with several outputs."""
    path = save(tmp_path / "m.tflite", NETS[name]())
    model = open_model(path)
    values = random_inputs(model.graph)
    want = ENGINE.load(path.read_bytes()).run(values)
    cuts = [frontier.cut for frontier in legal_cuts(model.graph)]
    assert cuts
    for chosen in [*([cut] for cut in cuts), cuts]:
        live = run_stages(model.write_stages(chosen, tmp_path / "out"), tmp_path / "out", values)
        assert all(np.array_equal(live[key], want[key]) for key in want), str(chosen)


def test_a_wrong_stage_is_noticed(tmp_path):
    """The comparison above can fail: another model's second stage gives another answer."""
    answers = []
    for name in ("one", "two"):
        path = save(tmp_path / f"{name}.tflite", chain())
        cuts = [frontier.cut for frontier in legal_cuts(open_model(path).graph)]
        stages = slice_tflite(path, cuts[:1], tmp_path / name)
        answers.append(run_stages(stages, tmp_path / name, {"x": np.zeros((1, 4), np.float32)})["c"])
    assert not np.array_equal(*answers)


def test_stages_hold_only_what_they_use(data, tmp_path):
    """Operator kinds, tensors and buffers are pruned; what is there is as it was in the model."""
    path = data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    plan = make_plan(path, tmp_path)
    whole = tfl.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    tensors = {tensor.name: tensor for tensor in whole.subgraphs[0].tensors}
    seen = set()
    for stage in plan.stages:
        content = (tmp_path / stage.file).read_bytes()
        assert (stage.digest, stage.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert content[4:8] == b"TFL3"
        model = tfl.ModelT.InitFromPackedBuf(content, 0)
        (graph,) = model.subgraphs
        assert sorted({operator.opcodeIndex for operator in graph.operators}) == list(range(len(model.operatorCodes)))
        touched = {index for operator in graph.operators for index in (*operator.inputs, *operator.outputs)}
        assert touched == set(range(len(graph.tensors)))
        used = {tensor.buffer for tensor in graph.tensors} | {entry.buffer for entry in model.metadata}
        assert used | {0} == set(range(len(model.buffers)))
        for tensor in graph.tensors:
            same = tensors[tensor.name]
            assert np.array_equal(tensor.shape, same.shape)
            assert tensor.type == same.type
            if same.quantization is not None and same.quantization.scale is not None:
                assert np.array_equal(tensor.quantization.scale, same.quantization.scale)
                assert tensor.quantization.quantizedDimension == same.quantization.quantizedDimension
            data_there, data_here = whole.buffers[same.buffer].data, model.buffers[tensor.buffer].data
            assert (data_here is None) == (data_there is None or not len(data_there))
            if data_here is not None:
                assert np.array_equal(data_here, data_there)
                seen.add(tensor.name)
    weights = {name for name, tensor in tensors.items() if np.size(whole.buffers[tensor.buffer].data) > 1}
    assert weights <= seen


def test_the_chain_of_useful_cuts_is_hardly_larger_than_the_model(data, tmp_path):
    """Every weight once."""
    path = data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    plan = make_plan(path, tmp_path)
    assert len(plan.stages) > 2
    assert sum(stage.size_bytes for stage in plan.stages) <= 1.02 * path.stat().st_size


def test_weights_lie_on_boundaries_of_16_bytes(data, tmp_path):
    """As schema.fbs demands; the generated classes forget it."""
    for stage in make_plan(data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite", tmp_path).stages:
        content = (tmp_path / stage.file).read_bytes()
        model = tfl.Model.GetRootAs(content, 0)
        base = np.frombuffer(content, np.uint8).ctypes.data
        arrays = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
        assert {(array.ctypes.data - base) % 16 for array in arrays if isinstance(array, np.ndarray)} == {0}


def test_the_same_model_and_cuts_give_the_same_bytes(tmp_path):
    """Digests can be compared between machines and days."""
    for name in ("conditional", "half_weights"):
        path = save(tmp_path / f"{name}.tflite", NETS[name]())
        cuts = [frontier.cut for frontier in legal_cuts(open_model(path).graph)]
        assert slice_tflite(path, cuts, tmp_path / "one") == slice_tflite(path, cuts, tmp_path / "two")


def test_a_shared_weight_goes_to_each_stage_that_uses_it(tmp_path):
    """With the operator that widens it."""
    path = save(tmp_path / "m.tflite", NETS["half_weights"]())
    cuts = choose_cuts(open_model(path).graph, ["v0", "v1"])
    slice_tflite(path, cuts, tmp_path)
    names = []
    for index in range(3):
        graph = tfl.ModelT.InitFromPackedBuf((tmp_path / f"stage{index}.tflite").read_bytes(), 0).subgraphs[0]
        names.append([tensor.name.decode() for tensor in graph.tensors if b"half" in tensor.name])
    assert names == [["half0"], ["half1"], ["half0"]]


def test_bodies_go_with_their_operator_and_are_numbered_anew(tmp_path):
    """The subgraph that nothing runs is left behind."""
    path = save(tmp_path / "m.tflite", NETS["conditional"]())
    stages = slice_tflite(path, choose_cuts(open_model(path).graph, ["middle"]), tmp_path)
    first, second = (tfl.ModelT.InitFromPackedBuf((tmp_path / stage.file).read_bytes(), 0) for stage in stages)
    assert [graph.name for graph in first.subgraphs[1:]] == [b"then", b"else"]
    options = first.subgraphs[0].operators[1].builtinOptions
    assert (options.thenSubgraphIndex, options.elseSubgraphIndex) == (1, 2)
    assert len(second.subgraphs) == 1


def test_what_no_longer_holds_is_left_behind(tmp_path):
    """Signatures and descriptions of the whole; the oldest interpreter that will do is kept."""
    model = tfl.ModelT.InitFromPackedBuf(chain(), 0)
    model.metadata, model.signatureDefs = [], [tfl.SignatureDefT()]
    model.signatureDefs[0].signatureKey, model.signatureDefs[0].inputs, model.signatureDefs[0].outputs = "run", [], []
    for name in ("TFLITE_METADATA", "min_runtime_version"):
        model.metadata.append(tfl.MetadataT())
        model.metadata[-1].name, model.metadata[-1].buffer = name, len(model.buffers)
        model.buffers.append(tfl.BufferT())
        model.buffers[-1].data = np.frombuffer(name.encode(), np.uint8)
    path = save(tmp_path / "m.tflite", packed(model))
    for stage in slice_tflite(path, choose_cuts(open_model(path).graph, ["a"]), tmp_path):
        made = tfl.ModelT.InitFromPackedBuf((tmp_path / stage.file).read_bytes(), 0)
        assert made.signatureDefs is None
        assert [entry.name for entry in made.metadata] == [b"min_runtime_version"]
        assert bytes(made.buffers[made.metadata[0].buffer].data) == b"min_runtime_version"


def test_block_wise_scales_and_intermediates_are_renumbered(tmp_path):
    """Tensors that only a quantisation or a recurrent operator's scratch list names come along."""
    model = tfl.ModelT.InitFromPackedBuf(chain(), 0)
    graph = model.subgraphs[0]
    for name in ("scales", "scratch"):
        tensor = tfl.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [1], tfl.TensorType.FLOAT32
        graph.tensors.append(tensor)
    blocks = tfl.BlockwiseQuantizationT()
    blocks.scales, blocks.zeroPoints, blocks.blockSize = len(graph.tensors) - 2, -1, 4
    weights = next(tensor for tensor in graph.tensors if tensor.name == b"w2")
    weights.quantization = tfl.QuantizationParametersT()
    weights.quantization.details, weights.quantization.detailsType = (
        blocks,
        tfl.QuantizationDetails.BlockwiseQuantization,
    )
    graph.operators[2].intermediates = [len(graph.tensors) - 1]
    path = save(tmp_path / "m.tflite", packed(model))
    slice_tflite(path, choose_cuts(open_model(path).graph, ["b"]), tmp_path)
    made = tfl.ModelT.InitFromPackedBuf((tmp_path / "stage1.tflite").read_bytes(), 0).subgraphs[0]
    names = [tensor.name.decode() for tensor in made.tensors]
    assert names[made.operators[0].intermediates[0]] == "scratch"
    assert names[made.tensors[names.index("w2")].quantization.details.scales] == "scales"
    assert "w1" not in names


def test_tensors_of_one_name_are_told_apart_in_stages(tmp_path):
    """Two values called alike, one of them without any name."""
    path = save(tmp_path / "m.tflite", chain(("same", "same", "", "last")))
    model = open_model(path)
    assert model.graph.activations == ("x", "same", "same_1", "tensor_6", "last")
    values = random_inputs(model.graph)
    want = ENGINE.load(path.read_bytes()).run(values)["last"]
    cuts = [frontier.cut for frontier in legal_cuts(model.graph)]
    stages = model.write_stages(cuts, tmp_path)
    assert [spec.name for stage in stages for spec in stage.outputs] == ["same", "same_1", "tensor_6", "last"]
    assert np.array_equal(run_stages(stages, tmp_path, values)["last"], want)


def test_an_output_that_is_a_constant_comes_with_the_last_stage(tmp_path):
    """Some converters leave such outputs in."""
    model = tfl.ModelT.InitFromPackedBuf(chain(), 0)
    names = [tensor.name for tensor in model.subgraphs[0].tensors]
    outputs = [names.index(b"c"), names.index(b"w0")]
    model.subgraphs[0].outputs = outputs
    path = save(tmp_path / "m.tflite", changed(packed(model)))
    stages = slice_tflite(path, choose_cuts(open_model(path).graph, ["b"]), tmp_path)
    assert [spec.name for spec in stages[-1].outputs] == ["c", "w0"]
    values = {"x": np.ones((1, 4), np.float32)}
    assert np.array_equal(run_stages(stages, tmp_path, values)["w0"], ENGINE.load(path.read_bytes()).run(values)["w0"])
