"""Which sizes stay open: those at which a model runs when they grow, together or one by one."""

import numpy as np
from tests.support.architectures import Net

from partway.partitioner.slicing import read_graph


def test_a_reader_of_lines_has_one_height_and_any_width(save):
    """Both are open in the file; only the width may grow."""
    net = Net()
    net.op("MatMul", net.constant(np.ones((1, 3, 4, 48), np.float32)), "x", out="y")
    model = net.model([("x", ["N", 3, "?", "W"])], [("y", ["N", 3, 4, "V"])])
    spec = read_graph(save(model), {"x": (None, 3, 48, 320)}).values["x"]
    assert (spec.shape, spec.usual) == ((None, 3, 48, None), (None, 3, 48, 320))


def test_sizes_that_are_given_in_the_file_and_channels_stay(save):
    """Only what the file leaves open is tried, and no number of channels."""
    net = Net()
    net.op("Relu", "x", out="y")
    spec = read_graph(
        save(net.model([("x", ["N", "C", 32, "W"])], [("y", ["N", "C", 32, "W"])])), {"x": (1, 3, 32, 40)}
    )
    assert spec.values["y"].shape == (None, 3, 32, None)


def test_an_input_with_an_example_keeps_its_size(save):
    """The example stands for what is legal."""
    from partway.partitioner.plan.model_file.model_format import Given

    net = Net()
    net.op("Relu", "x", out="y")
    path = save(net.model([("x", ["N", "T"])], [("y", ["N", "T"])]))
    assert read_graph(path, Given({}, {"x": np.zeros((1, 40))})).values["y"].shape == (None, 40)
