"""The trained network as an ONNX file."""

from dataclasses import replace

from tests.support.mnist_files import no_network, quiet

from partway.partitioner.zoo.training.command import train_mnist

VALUES = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "conv4", "relu4", "conv5", "relu5"]
VALUES += ["pool5", "flatten", "fc1", "relu_fc1", "logits"]


def test_the_exported_file_is_made_to_be_read(torch, options):
    """Every value has its layer's name and a recorded shape, the batch is free, and nothing but weights is stored."""
    import onnx

    train_mnist(replace(options, epochs=1), quiet, no_network)
    graph = onnx.load(options.out / "mnist.onnx").graph
    assert [node.output[0] for node in graph.node] == VALUES
    assert {value.name for value in graph.value_info} == set(VALUES[:-1])
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)} == {"batch"}
    assert {tensor.name.rsplit(".", 1)[1] for tensor in graph.initializer} == {"weight", "bias"}
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]
