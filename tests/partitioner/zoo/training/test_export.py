"""The trained network as an ONNX file."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.mnist_files import no_network, quiet

from partway.partitioner.zoo.training.export import folded, onnx_model
from partway.partitioner.zoo.training.model import torch_network
from partway.partitioner.zoo.training.parity import network_input, onnx_logits
from partway.partitioner.zoo.training.train import train_mnist

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


@pytest.fixture
def state(torch) -> dict[str, np.ndarray]:
    """The parameters of a network whose batch normalisation has seen something."""
    torch.manual_seed(0)
    network = torch_network()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(8, 1, 28, 28) * 2 - 0.5)
    return {name: tensor.numpy() for name, tensor in network.eval().state_dict().items()}


def test_folded_weights_hold_the_normalisation(state):
    """Only weights and biases are left, in 32 bits; a convolution of them is convolution and normalisation in one."""
    weights = folded(state)
    assert {name.rsplit(".", 1)[1] for name in weights} == {"weight", "bias"}
    assert not any("norm" in name for name in weights)
    assert all(array.dtype == np.float32 for array in weights.values())
    scale = state["conv1_norm.weight"] / np.sqrt(state["conv1_norm.running_var"] + 1e-5)
    np.testing.assert_allclose(weights["conv1.weight"], state["conv1.weight"] * scale[:, None, None, None], rtol=1e-5)
    np.testing.assert_allclose(
        weights["conv1.bias"], state["conv1_norm.bias"] - state["conv1_norm.running_mean"] * scale, rtol=1e-4, atol=1e-6
    )


def test_the_onnx_form_answers_like_the_torch_form(torch, state):
    """Within rounding, for one digit and for three; without the folded means it would not."""
    network = torch_network()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    model = onnx_model(state).SerializeToString()
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(network_input(images))).numpy()
    np.testing.assert_allclose(onnx_logits(model, images), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(onnx_logits(model, images[:1]), expected[:1], rtol=1e-3, atol=1e-4)
    changed = {**state, "conv3_norm.running_mean": state["conv3_norm.running_mean"] + 1}
    assert np.abs(onnx_logits(onnx_model(changed).SerializeToString(), images) - expected).max() > 1e-2
