"""Shapes of every value: inferred, or seen by running the model."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.support.architectures import ARCHITECTURES, Net

from partway.errors import InputError
from partway.partitioner.slicing import read_graph


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_value_has_the_shape_it_has_when_the_model_runs(name, save):
    """Shapes, dtypes and bytes at batch one are those that ONNX Runtime sees."""
    from tests.support.chains import feeds_for, session

    architecture = ARCHITECTURES[name]()
    graph = read_graph(save(architecture.model), architecture.sizes)
    made = [value for operator in graph.operators for value in operator.outputs]
    spied = onnx.ModelProto()
    spied.CopyFrom(architecture.model)
    del spied.graph.output[:]
    spied.graph.output.extend(onnx.ValueInfoProto(name=value) for value in made)
    one = session(save(spied, "spied.onnx"), plain=True)
    for batch in architecture.batches:
        feeds = feeds_for(architecture.model, architecture.sizes, batch)
        for value, array in zip(made, one.run(made, feeds), strict=True):
            spec = graph.values[value]
            assert spec.accepts(array.shape, array.dtype.name), value
            assert batch > 1 or graph.size_bytes(value) == array.nbytes, value


def test_a_dimension_that_merges_the_batch_with_another_is_open_and_its_bytes_are_right(save):
    """Batch times heads is no multiple of one at batch one."""
    net = Net()
    x = net.op("Reshape", "x", net.constant(np.array([-1, 4], np.int64)))
    net.op("Reshape", net.op("MatMul", x, net.weight(4, 4)), net.constant(np.array([-1, 24], np.int64)), out="y")
    graph = read_graph(save(net.model([("x", ["batch", 24])], [("y", ["batch", 24])])))
    assert graph.values["matmul1_0"].shape == (None, 4)
    assert graph.size_bytes("matmul1_0") == 6 * 4 * 4


def test_missing_shapes_are_found_by_running_the_model(save):
    """ONNX Runtime's own operators have no shape inference in the onnx package."""
    node = helper.make_node("Gelu", ["x"], ["g"], domain="com.microsoft")
    end = helper.make_node("Relu", ["g"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph([node, end], "net", values[:1], values[1:]), opset_imports=opsets)
    model.ir_version = 8
    assert read_graph(save(model)).values["g"].shape == (None, 4)


def test_a_model_that_runs_at_batch_one_only_is_read_for_batch_one(save):
    """The exporter wrote a fixed batch into a Reshape; the plan says so instead of failing later."""
    net = Net()
    net.op("Reshape", net.op("Relu", "x"), net.constant(np.array([1, 2, 2], np.int64)), out="r")
    net.op("Tanh", "r", out="y")
    graph = read_graph(save(net.model([("x", ["N", 4])], [("y", ["N", 2, 2])])))
    assert graph.values["x"].shape == (1, 4)


def test_shapes_that_cannot_be_found_are_an_input_error(save):
    """Inference cannot tell and the model does not run: the sentence says both."""
    net = Net()
    shape = net.op("Cast", net.op("Add", "x", net.constant(np.float32(5))), to=TensorProto.INT64)
    net.op("Reshape", "x", shape, out="y")
    with pytest.raises(InputError, match=r"does not run on random inputs .* give the input shapes"):
        read_graph(save(net.model([("x", [4])], [("y", ["many"])])))
