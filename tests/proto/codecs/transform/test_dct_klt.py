"""Activations as coefficients and back."""

import numpy as np
import pytest
from tests.support.codecs import smooth

from partway.partitioner.calibrate.sensitivity import groups_of
from partway.proto.codecs.transform.dct_klt import Basis, bands

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(6, 9, 5), (1, 1, 8), (3, 1, 4), (7, 12), (30,)])
def test_a_basis_turns_back(layout: str, shape: tuple[int, ...]) -> None:
    """Orthonormal: the inverse is exact and lengths stay."""
    samples = smooth(shape, 60)
    channels = Basis(layout, shape, np.zeros(1, np.float32), None).size[2]
    vectors = np.linalg.qr(RNG.standard_normal((channels, channels)))[0].astype(np.float32)
    basis = Basis(layout, shape, np.zeros(channels, np.float32), vectors)
    coefficients = basis.forward(samples[0])
    assert np.allclose(basis.inverse(coefficients), samples[0], atol=1e-3)
    assert np.isclose(np.linalg.norm(coefficients), np.linalg.norm(samples[0]), rtol=1e-4)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(6, 9, 5), (1, 1, 8), (3, 1, 4), (7, 12)])
def test_a_basis_of_several_groups_turns_back(layout: str, shape: tuple[int, ...]) -> None:
    """Any independent vectors, others for each group of bands; tables follow the order of positions."""
    empty = Basis(layout, shape, np.zeros(1, np.float32), None)
    height, width, channels = empty.size
    groups = groups_of(height, width)
    vectors = RNG.standard_normal((groups[-1] + 1, channels, channels)).astype(np.float32) + 3 * np.eye(channels)
    basis = Basis(layout, shape, RNG.standard_normal(channels), vectors.astype(np.float32), groups)
    sample = smooth(shape, 1)[0]
    assert np.allclose(basis.inverse(basis.forward(sample)), sample, atol=1e-2)
    table = np.tile(np.arange(groups.size), (channels, 1))
    assert np.array_equal(basis.by_coefficient(table), np.repeat(np.sort(bands(height, width).ravel()), channels))


def test_vectors_that_lie_in_a_plane_are_refused() -> None:
    """What they mix cannot be told apart again."""
    with pytest.raises(ValueError, match=r"[Ss]ingular|independent"):
        Basis("NHWC", (1, 1, 3), np.zeros(3), np.ones((1, 3, 3), np.float32), np.zeros(1, np.uint8))
