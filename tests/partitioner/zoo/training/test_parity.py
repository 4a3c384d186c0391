"""The exported file held against the network it was made from."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.mnist_files import no_network, quiet

from partway.errors import PartwayError
from partway.partitioner.zoo.training.command import train_mnist


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
