"""Stages of TFLite models: only what they use, numbered anew."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from tests.support.sliced import slice_file
from tests.support.tflite_nets import NETS, chain, changed, packed, save
from tests.support.tflite_runs import ENGINE, run_stages

from partway.partitioner.slicing import choose_cuts, make_plan, open_model


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


def test_bodies_go_with_their_operator_and_are_numbered_anew(tmp_path):
    """The subgraph that nothing runs is left behind."""
    path = save(tmp_path / "m.tflite", NETS["conditional"]())
    stages = slice_file(path, choose_cuts(open_model(path).graph, ["middle"]), tmp_path)
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
    for stage in slice_file(path, choose_cuts(open_model(path).graph, ["a"]), tmp_path):
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
    slice_file(path, choose_cuts(open_model(path).graph, ["b"]), tmp_path)
    made = tfl.ModelT.InitFromPackedBuf((tmp_path / "stage1.tflite").read_bytes(), 0).subgraphs[0]
    names = [tensor.name.decode() for tensor in made.tensors]
    assert names[made.operators[0].intermediates[0]] == "scratch"
    assert names[made.tensors[names.index("w2")].quantization.details.scales] == "scales"
    assert "w1" not in names


def test_an_output_that_is_a_constant_comes_with_the_last_stage(tmp_path):
    """Some converters leave such outputs in."""
    model = tfl.ModelT.InitFromPackedBuf(chain(), 0)
    names = [tensor.name for tensor in model.subgraphs[0].tensors]
    outputs = [names.index(b"c"), names.index(b"w0")]
    model.subgraphs[0].outputs = outputs
    path = save(tmp_path / "m.tflite", changed(packed(model)))
    stages = slice_file(path, choose_cuts(open_model(path).graph, ["b"]), tmp_path)
    assert [spec.name for spec in stages[-1].outputs] == ["c", "w0"]
    values = {"x": np.ones((1, 4), np.float32)}
    assert np.array_equal(run_stages(stages, tmp_path, values)["w0"], ENGINE.load(path.read_bytes()).run(values)["w0"])
