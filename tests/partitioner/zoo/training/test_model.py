"""The network behind ``mnist``: one table of layers, and the torch form made of it."""

from typing import Any

import numpy as np
import pytest

from partway.partitioner.zoo.training.model import (
    CLASSES,
    LAYERS,
    OUTPUT,
    SIDE,
    Conv,
    Dense,
    Pool,
    norm_name,
    torch_network,
)

NAMES = [layer.name for layer in LAYERS]


def test_every_layer_has_a_name_of_its_own() -> None:
    """The last one's is that of the model's answer."""
    assert len(set(NAMES)) == len(NAMES)
    assert NAMES[-1] == OUTPUT


def test_channels_follow_one_another() -> None:
    """Each layer reads as many as the one before it makes, from one grey channel to ten classes."""
    channels, side = 1, SIDE
    for layer in LAYERS:
        if isinstance(layer, Conv):
            assert layer.inputs == channels
            assert layer.size % 2 == 1
            channels = layer.outputs
        elif isinstance(layer, Pool):
            side = (side - layer.size) // layer.stride + 1
        elif isinstance(layer, Dense):
            assert layer.inputs == channels * side * side
            channels, side = layer.outputs, 1
    assert (channels, side) == (CLASSES, 1)


def test_the_torch_form_has_every_layer_and_a_norm_after_each_convolution(torch: Any) -> None:
    """In the order of the table."""
    found = [name for name, _ in torch_network().named_children()]
    expected = []
    for layer in LAYERS:
        expected += [layer.name, norm_name(layer.name)] if isinstance(layer, Conv) else [layer.name]
    assert found == expected


@pytest.mark.parametrize("batch", [1, 3])
def test_digits_become_one_number_a_class(torch: Any, batch: int) -> None:
    """Finite, for each digit of the batch."""
    network = torch_network().eval()
    with torch.no_grad():
        answer = network(torch.rand(batch, 1, SIDE, SIDE)).numpy()
    assert answer.shape == (batch, CLASSES)
    assert np.isfinite(answer).all()


def test_it_is_shaped_for_splitting(torch: Any) -> None:
    """relu3, pool5, relu_fc1 and logits send less and less, all of them less than the picture."""
    network, sizes, value = torch_network().eval(), {}, torch.rand(1, 1, SIDE, SIDE)
    with torch.no_grad():
        for name, layer in network.named_children():
            value = layer(value)
            sizes[name] = value.numel()
    wanted = [SIDE * SIDE, *(sizes[name] for name in ("relu3", "pool5", "relu_fc1", "logits"))]
    assert wanted == sorted(set(wanted), reverse=True)
