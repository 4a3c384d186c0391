"""Generated pictures that stand for photographs."""

import numpy as np
import pytest

from partway.partitioner.profile.sample_pictures import sample_picture
from partway.proto.codecs.image import encode_image


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(224, 224, 3), (28, 28, 1), (32, 96, 3), (1, 1, 1), (5, 300, 3)]
)
def test_a_picture_of_any_size(height: int, width: int, channels: int) -> None:
    """uint8, and another one for another seed."""
    picture = sample_picture(height, width, channels, 0)
    assert picture.shape == (height, width, channels) and picture.dtype == np.uint8
    assert np.array_equal(picture, sample_picture(height, width, channels, 0))
    if height > 1:
        assert not np.array_equal(picture, sample_picture(height, width, channels, 1))


def test_a_jpeg_of_it_is_as_large_as_a_photographs() -> None:
    """300 photographs of ImageNet at 224 x 224 have 0.17 and 0.07 bytes a value; noise has 0.9 and 0.4."""
    sizes = {
        codec: np.mean([len(encode_image(codec, sample_picture(224, 224, 3, seed))) for seed in range(4)])
        / (224 * 224 * 3)
        for codec in ("jpeg95", "jpeg75")
    }
    assert 0.11 < sizes["jpeg95"] < 0.25
    assert 0.045 < sizes["jpeg75"] < 0.11


def test_its_spectrum_falls_as_that_of_photographs() -> None:
    """Amplitudes fall about as one over the frequency: neither noise nor a few smooth blobs."""
    grey = np.mean([sample_picture(128, 128, 1, seed)[..., 0] for seed in range(1)], axis=0)
    power = np.abs(np.fft.rfft2(grey - grey.mean()))
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    bands = [power[(frequency > low) & (frequency < 2 * low)].mean() for low in (0.02, 0.04, 0.08, 0.16)]
    slope = np.polyfit(range(4), np.log2(bands), 1)[0]
    assert -2.0 < slope < -0.6
