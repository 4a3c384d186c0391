"""The exported file held against the network it was made from."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.mnist_files import no_network, quiet

from partway.errors import PartwayError
from partway.partitioner.zoo.training.parity import TOLERANCE, largest_difference, mean_loss, network_input
from partway.partitioner.zoo.training.train import train_mnist


def test_the_parity_check_catches_a_wrong_export(torch, options, monkeypatch):
    """A model file with one bias off by a little is not accepted, and not written."""
    from partway.partitioner.zoo.training import export as mnist_export

    def slightly_wrong(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        weights = folded(state)
        return weights | {"fc1.bias": weights["fc1.bias"] + np.float32(0.01)}

    folded = mnist_export.folded
    monkeypatch.setattr(mnist_export, "folded", slightly_wrong)
    with pytest.raises(PartwayError, match="differ from the trained network"):
        train_mnist(replace(options, epochs=1), quiet, no_network)
    assert not (options.out / "mnist.onnx").exists()


def test_pixels_become_the_networks_input():
    """A channel of its own, scaled and normalised, in 32 bits."""
    images = np.array([[[0, 255], [51, 102]]], np.uint8)
    found = network_input(images)
    assert (found.shape, found.dtype) == ((1, 1, 2, 2), np.float32)
    assert found[0, 0, 0].tolist() == pytest.approx([-0.1307 / 0.3081, (1 - 0.1307) / 0.3081], rel=1e-5)


@pytest.mark.parametrize("off", [0.0, 0.9 * TOLERANCE, -0.9 * TOLERANCE])
def test_a_difference_of_rounding_is_told(off):
    """The largest of all logits, whichever way."""
    logits = np.arange(20, dtype=np.float64).reshape(2, 10)
    other = logits.copy()
    other[1, 3] += off
    assert largest_difference(logits, other) == pytest.approx(abs(off))


@pytest.mark.parametrize("off", [1.1 * TOLERANCE, float("nan")])
def test_a_difference_beyond_rounding_is_an_error(off):
    """Something that is no number is beyond it too."""
    with pytest.raises(PartwayError, match="differ from the trained network's"):
        largest_difference(np.zeros((1, 10)), np.full((1, 10), off))


def test_the_loss_is_the_mean_cross_entropy():
    """Equal logits tell nothing; large ones do not overflow; adding to all of them changes nothing."""
    labels = np.array([0, 3])
    assert mean_loss(np.zeros((2, 10), np.float32), labels) == pytest.approx(np.log(10))
    sure = np.zeros((2, 10), np.float32)
    sure[[0, 1], labels] = 1e4
    assert mean_loss(sure, labels) == pytest.approx(0.0)
    logits = np.random.default_rng(0).standard_normal((2, 10)).astype(np.float32)
    assert mean_loss(logits + 50, labels) == pytest.approx(mean_loss(logits, labels), rel=1e-4)
