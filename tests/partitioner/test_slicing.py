"""From a model file of any format to a plan."""

import onnx
import pytest
from tests.support.architectures import Net
from tests.support.tflite_nets import chain, save

from partway.errors import InputError
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.plan import Plan
from partway.partitioner.slicing import choose_cuts, make_plan, open_model, read_graph


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
