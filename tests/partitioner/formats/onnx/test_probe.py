"""A model tried at input shapes: by inference, by a run, and where it does not run."""

import numpy as np
import pytest
from onnx import TensorProto
from tests.support.architectures import Net

from partway.partitioner.formats.onnx.lazy_file import open_file
from partway.partitioner.formats.onnx.probe import DoesNotRunError, Probe


def reader_of_rate() -> Net:
    """``y`` is ``x`` cut to the size that the scalar ``rate`` says."""
    net = Net()
    size = net.op("Reshape", "rate", net.constant(np.array([1], np.int64)))
    net.op("Slice", "x", net.constant(np.array([0])), size, net.constant(np.array([1])), out="y")
    return net


def test_shapes_that_depend_on_an_example_are_those_of_a_run_with_it(save):
    """Zeros in its place would give another shape."""
    model = reader_of_rate().model([("x", ["N", 8]), ("rate", [])], [("y", ["N", "part"])])
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    file = open_file(save(model))
    fixed = {"x": (1, 8), "rate": ()}
    assert Probe(file, ["y"], {}).shapes(fixed)["y"] == (1, 0)
    probe = Probe(file, ["y"], {"rate": np.array(3)})
    assert probe.shapes(fixed)["y"] == (1, 3)
    assert probe.observed == {"y"}


def test_inputs_that_are_too_small_do_not_run(save):
    """Inference would go on with sizes below zero."""
    net = Net()
    net.op("MaxPool", "x", kernel_shape=[5, 5], out="y")
    probe = Probe(open_file(save(net.model([("x", [1, 1, "h", "w"])], [("y", [1, 1, "a", "b"])]))), ["y"], {})
    with pytest.raises(DoesNotRunError, match=r"`y` would have the shape \[1, 1, -1, 4\]"):
        probe.shapes({"x": (1, 1, 3, 8)})


def test_a_proof_runs_what_inference_lets_through(save):
    """A Reshape to a fixed number of elements is inferred, whatever comes."""
    net = Net()
    net.op("Reshape", "x", net.constant(np.array([2, 2], np.int64)), out="y")
    probe = Probe(open_file(save(net.model([("x", ["n"])], [("y", [2, 2])]))), ["y"], {})
    assert probe.shapes({"x": (4,)}, prove=True)["y"] == (2, 2)
    with pytest.raises(DoesNotRunError):
        probe.shapes({"x": (5,)}, prove=True)
