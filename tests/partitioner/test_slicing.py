"""From a model file of any format to a plan."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tests.support.architectures import Net
from tests.support.tflite_nets import chain, save
from tests.support.tflite_runs import modified

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.measure import sample_values
from partway.partitioner.slicing import choose_cuts, make_plan, open_model, read_graph
from partway.proto.tensors import TensorSpec


def test_make_plan_describes_the_chain(saved, tmp_path):
    """One cut more than stages, every value of a cut described, the mappings as they were given."""
    plan = make_plan(saved("chain"), tmp_path / "out", name="lenet", input={"scale": 2}, output={"labels": ["a"]})
    assert isinstance(plan, Plan)
    assert (plan.model, plan.engine, plan.inputs, plan.outputs) == ("lenet", "onnx", ("image",), ("logits",))
    assert len(plan.cuts) == len(plan.stages) + 1 >= 3
    assert plan.cuts[0].values == ("image",)
    assert plan.cuts[-1].values == ("logits",)
    assert {name for cut in plan.cuts for name in cut.values} == set(plan.tensors)
    assert (plan.input, plan.output) == ({"scale": 2}, {"labels": ["a"]})


def test_cuts_are_named_one_by_one_or_joined_or_beside_the_useful_ones(saved):
    """As people write them."""
    graph = open_model(saved("two_inputs")).graph
    both = ("scale", "concat14_0")
    assert [cut.values for cut in choose_cuts(graph, "concat14_0+scale")] == [both]
    assert [cut.values for cut in choose_cuts(graph, ["scale + concat14_0"])] == [both]
    chain = open_model(saved("chain")).graph
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


def test_a_part_of_a_name_that_only_one_value_has_will_do(tmp_path):
    """Converters join the names of fused operators."""
    path = save(tmp_path / "m.tflite", chain(("relu1;bias1;conv", "relu2;bias2;conv", "c")))
    graph = read_graph(path)
    assert [cut.values for cut in choose_cuts(graph, ["bias1"])] == [("relu1;bias1;conv",)]
    with pytest.raises(InputError, match="no value `conv`"):
        choose_cuts(graph, ["conv"])


def test_outputs_that_the_file_gives_no_shape_have_that_of_a_run(tmp_path):
    """A custom operator sizes its outputs; no cut lies where the number of dimensions is unknown."""

    def forget(model):
        for tensor in model.subgraphs[0].tensors:
            if tensor.name in (b"where", b"class", b"score", b"count", b"doubled"):
                tensor.shape = []

    (tmp_path / "m.tflite").write_bytes(modified(forget, "detector"))
    graph = open_model(tmp_path / "m.tflite").graph
    assert {"where", "doubled"} <= graph.local
    plan = make_plan(tmp_path / "m.tflite", tmp_path / "out", "none")
    specs = {name: plan.tensors[name] for name in plan.outputs}
    assert specs["where"] == TensorSpec("where", "float32", (None,) * 3, usual=(1, 3, 4))
    assert specs["doubled"].usual == (1, 3)
    assert not plan.batches
    assert plan.stages[0].outputs == tuple(specs.values())


def test_examples_go_into_the_plan_and_make_the_model_run(saved_voice, tmp_path):
    """A model that runs at one rate only."""
    with pytest.raises(InputError, match="--example rate=NUMBER"):
        make_plan(saved_voice, tmp_path / "out", "none")
    plan = make_plan(saved_voice, tmp_path / "out", "none", examples={"rate": np.array(4)})
    chain = load_folder(tmp_path / "out", plan, engine_for("onnx"))
    values = sample_values(chain)
    assert values["rate"] == 4
    assert chain.run(values, 0, 1)["y"].shape == (1, 2, 4)


@pytest.fixture
def saved_voice(tmp_path):
    """``y`` is ``x`` in rows of ``rate``, which divides it in halves."""
    net = Net()
    rate = net.op("Reshape", "rate", net.constant(np.array([1])))
    rows = net.op("Concat", net.constant(np.array([-1, 2])), rate, axis=0)
    net.op("Reshape", "x", rows, out="y")
    model = net.model([("x", ["N", 8]), ("rate", [])], [("y", ["N", 2, "rate"])])
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, tmp_path / "voice.onnx")
    return tmp_path / "voice.onnx"
