"""The inputs of ONNX models: the batch, and sizes for other open dimensions."""

import numpy as np
import pytest
from onnx import TensorProto
from tests.support.architectures import ARCHITECTURES, Net, one_operator

from partway.errors import InputError
from partway.partitioner.slicing import read_graph
from partway.proto.tensors import TensorSpec


def test_weights_are_no_inputs_even_where_the_file_lists_them(save):
    """IR 3 lists initialisers among the inputs; an unused one, a mask nobody reads and constant nodes disappear."""
    graph = read_graph(save(ARCHITECTURES["old_file"]().model))
    assert graph.inputs == ("image",)
    assert [operator.kind for operator in graph.operators] == ["Conv", "Relu", "Dropout", "Mul", "Reshape", "Gemm"]
    assert all("unused" not in operator.constants for operator in graph.operators)


def test_open_dimensions_stay_open_and_have_a_usual_size(save):
    """The size that was given; the batch has none."""
    path = save(ARCHITECTURES["mobile"]().model)
    made = read_graph(path, {"image": (None, 3, 16, 24)}).values["relu1_0"]
    assert (made.shape, made.usual) == ((None, 4, None, None), (None, 4, 8, 12))
    assert made.batch_first


def test_sizes_that_the_model_has_one_of_are_fixed(save):
    """A matrix of weights lets one width through."""
    net = Net()
    net.op("MatMul", "x", net.constant(np.ones((16, 4), np.float32)), out="y")
    graph = read_graph(save(net.model([("x", ["N", 3, "side"])], [("y", ["N", 3, 4])])), {"x": (None, 3, 16)})
    assert graph.values["x"] == TensorSpec("x", "float32", (None, 3, 16))


def test_an_open_first_dimension_that_counts_something_else_is_no_batch(save):
    """By its name; sequences of two clients must not be joined."""
    net = Net()
    net.op("Relu", "x", out="y")
    for name, batches in (("time", False), ("num_tokens", False), ("N", True), ("what", True)):
        spec = read_graph(save(net.model([("x", [name, 80])], [("y", [name, 80])])), {"x": (50, 80)}).values["y"]
        assert spec.batch_first is batches
        assert spec.shape == (None, 80)


def test_the_batch_may_lie_behind_other_dimensions(save):
    """As in a recurrent state; such a value cannot be joined along its first dimension."""
    net = Net()
    net.op("Relu", "x", out="y")
    spec = read_graph(save(net.model([("x", [2, "batch", 4])], [("y", [2, "batch", 4])]))).values["y"]
    assert (spec.shape, spec.usual, spec.batch_first) == ((2, None, 4), None, False)


def test_a_recurrent_state_without_names_has_its_batch_in_the_middle(save):
    """Where the exporter kept no names, as Silero's."""
    net = Net()
    net.op("Identity", "h", out="hn")
    net.op("Relu", "x", out="y")
    model = net.model([("x", [None, 8]), ("h", [2, None, 4])], [("y", [None, 8]), ("hn", [2, None, 4])])
    graph = read_graph(save(model))
    assert (graph.values["h"].shape, graph.values["h"].frame_shape()) == ((2, None, 4), (2, 1, 4))
    assert not graph.values["h"].batch_first


def test_inputs_that_are_no_tensors_of_numbers_are_refused(save):
    """Strings and sequences cannot be sent."""
    model = one_operator("Identity")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(InputError, match="not a tensor of numbers"):
        read_graph(save(model))


def test_wrong_sizes_are_refused(save):
    """A size for an input that does not exist, for a dimension that is fixed, or of another rank."""
    path = save(ARCHITECTURES["mobile"]().model)
    for sizes, message in (
        ({"picture": (1,)}, "no input `picture`; it has image"),
        ({"image": (None, 4, 16, 16)}, "dimension 1 of `image` is 3 in the model, not 4"),
        ({"image": (16, 16)}, "4 dimensions, 2 were given"),
    ):
        with pytest.raises(InputError, match=message):
            read_graph(path, sizes)
