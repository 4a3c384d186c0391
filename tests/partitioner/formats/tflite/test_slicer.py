"""Stages of TFLite models: bit-equal to the whole, valid, no larger than they must be."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from PIL import Image
from tests.support.sliced import slice_file
from tests.support.tflite_nets import NETS, chain, save
from tests.support.tflite_runs import ENGINE, run_stages

from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.slicing import choose_cuts, make_plan, open_model

MODELS = (
    "kws_ref_model", "kws_ref_model_float32", "pretrainedResnet", "pretrainedResnet_quant",
    "tf2_mobilenet_v2_1.0_224_ptq",
)  # fmt: skip


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


@pytest.mark.slow
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
        stages = slice_file(path, cuts[:1], tmp_path / name)
        answers.append(run_stages(stages, tmp_path / name, {"x": np.zeros((1, 4), np.float32)})["c"])
    assert not np.array_equal(*answers)


def test_the_chain_of_useful_cuts_is_hardly_larger_than_the_model(data, tmp_path):
    """Every weight once."""
    path = data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    plan = make_plan(path, tmp_path)
    assert len(plan.stages) > 2
    assert sum(stage.size_bytes for stage in plan.stages) <= 1.02 * path.stat().st_size


def test_the_same_model_and_cuts_give_the_same_bytes(tmp_path):
    """Digests can be compared between machines and days."""
    for name in ("conditional", "half_weights"):
        path = save(tmp_path / f"{name}.tflite", NETS[name]())
        cuts = [frontier.cut for frontier in legal_cuts(open_model(path).graph)]
        assert slice_file(path, cuts, tmp_path / "one") == slice_file(path, cuts, tmp_path / "two")


def test_a_shared_weight_goes_to_each_stage_that_uses_it(tmp_path):
    """With the operator that widens it."""
    path = save(tmp_path / "m.tflite", NETS["half_weights"]())
    cuts = choose_cuts(open_model(path).graph, ["v0", "v1"])
    slice_file(path, cuts, tmp_path)
    names = []
    for index in range(3):
        graph = tfl.ModelT.InitFromPackedBuf((tmp_path / f"stage{index}.tflite").read_bytes(), 0).subgraphs[0]
        names.append([tensor.name.decode() for tensor in graph.tensors if b"half" in tensor.name])
    assert names == [["half0"], ["half1"], ["half0"]]


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
