"""The ink in a picture, told from paper, light and dirt."""

import numpy as np
import pytest
from tests.support.digits import difference, grey, seven

from partway.partitioner.plan.mnist_digit import digit_from_image

EXPECTED = digit_from_image(grey(255 * seven()))


@pytest.mark.parametrize("angle", range(0, 360, 45))
def test_uneven_light_does_not_count_as_ink(angle):
    """Paper that loses more than half its light across the picture, with noise, gives the same digit."""
    down, right = np.mgrid[:160, :240] / 160 - 0.5
    light = 150 + 60 * (right * np.cos(np.radians(angle)) + down * np.sin(np.radians(angle))) - 60 * right**2
    noise = np.random.default_rng(angle).normal(0, 4, light.shape)
    photo = grey(light * (1 - 0.6 * seven(112, (50, 25), (240, 160))) + noise)
    assert difference(digit_from_image(photo), EXPECTED) < 0.3


def test_dust_and_the_edge_of_the_desk_are_left_out():
    """Specks and a dark strip along the picture's edge do not change the digit."""
    ink = seven(112, (70, 25), (240, 160))
    ink[5:8, 30:33] = ink[150:153, 200:204] = ink[:, :6] = 1
    assert difference(digit_from_image(grey(255 - 255 * ink)), EXPECTED) < 0.12
