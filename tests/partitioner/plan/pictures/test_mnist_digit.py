"""Pictures of digits, real and drawn, against what MNIST would have made of them."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.digits import SEVEN, difference, grey, seven

from partway.partitioner.plan.pictures.mnist_digit import SIDE, digit_from_image, looks_like_mnist
from partway.partitioner.zoo.idx import read_idx

ROOT = Path(__file__).parents[4]
ZOO = ROOT / "partitioner" / "zoo" / "mnist"
SAMPLES = sorted((ZOO / "samples").glob("*.png"))


EXPECTED = digit_from_image(grey(255 * seven()))


def as_png(image: Image.Image) -> Image.Image:
    """The picture written and read again, as users' pictures come."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue()))


def test_a_digit_becomes_light_on_dark_boxed_and_centred():
    """The result fits 20 x 20, is centred by mass within half a pixel, and reaches full white on full black."""
    mass, (rows, columns) = EXPECTED.sum(), np.nonzero(EXPECTED > 127)
    assert EXPECTED.shape == (SIDE, SIDE)
    assert EXPECTED.dtype == np.uint8
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    assert abs(EXPECTED.sum(axis=1) @ np.arange(SIDE) / mass - 14) <= 0.51
    assert abs(EXPECTED.sum(axis=0) @ np.arange(SIDE) / mass - 14) <= 0.51
    assert EXPECTED.max() == 255
    assert np.median(EXPECTED) == 0
    assert looks_like_mnist(EXPECTED)


def colours(ink: tuple[int, ...], paper: tuple[int, ...], mode: str) -> Image.Image:
    mask = grey(255 * seven())
    return Image.composite(Image.new(mode, mask.size, ink), Image.new(mode, mask.size, paper), mask)


PRESENTATIONS = {
    "dark on light": grey(255 - 255 * seven()),
    "grey on grey": grey(120 - 30 * seven()),
    "off-centre": grey(255 * seven(112, (80, 20), (240, 160))),
    "1-bit": grey(255 - 255 * seven()).convert("1", dither=Image.Dither.NONE),
    "palette": colours((0, 0, 90), (255, 250, 240), "RGB").quantize(16),
    "colours of equal luminance": colours((220, 0, 0), (0, 112, 0), "RGB"),
    "black on transparent": colours((0, 0, 0, 255), (0, 0, 0, 0), "RGBA"),
    "white on transparent": colours((255, 255, 255, 255), (255, 255, 255, 0), "RGBA"),
    "white on opaque black with alpha": colours((255, 255, 255, 255), (0, 0, 0, 255), "RGBA"),
    "grey with alpha": colours((0, 255), (0, 0), "LA"),
    "16-bit": Image.fromarray((65535 - 65535 * seven()).astype(np.uint16)),
    "16-bit container, 12 bits used": Image.fromarray((4095 * seven()).astype(np.uint16)),
}


@pytest.mark.parametrize("name", PRESENTATIONS)
def test_the_same_digit_however_presented(name):
    """Polarity, contrast, place, mode and transparency change next to nothing in the result."""
    assert difference(digit_from_image(as_png(PRESENTATIONS[name])), EXPECTED) < 0.12


def test_float_pictures_are_read():
    """Mode F with levels 0..1, as computed pictures have."""
    assert difference(digit_from_image(Image.fromarray(seven().astype(np.float32))), EXPECTED) < 0.12


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "La", "RGBa", "P", "I", "F", "LAB"])
def test_every_mode_of_pillow_is_taken(mode):
    """Every mode gives the digit, none an exception."""
    picture = grey(255 - 255 * seven())
    if mode == "LAB":
        picture = Image.merge("LAB", [picture] * 3)
    else:
        for step in {"La": ("LA", "La"), "RGBa": ("RGBA", "RGBa"), "HSV": ("RGB", "HSV")}.get(mode, (mode,)):
            picture = picture.convert(step)
    assert difference(digit_from_image(picture), EXPECTED) < 0.12


def test_hairlines_of_large_pictures_stay_visible():
    """A pen of one part in a hundred leaves strokes of some two pixels, not a grey haze."""
    from PIL import ImageDraw

    picture = Image.new("L", (1200, 1200), 255)
    ImageDraw.Draw(picture).line([(x * 40, y * 40) for x, y in SEVEN], 0, 8)
    assert (digit_from_image(picture) > 200).sum() > 40


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 9), (3, 3), (28, 28), (5, 200), (300, 700)])
@pytest.mark.parametrize("level", [0, 97, 255])
def test_an_empty_picture_has_no_ink(size, level):
    """Flat pictures of any size and shade give a black digit."""
    assert not digit_from_image(Image.new("L", size, level)).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 9), (3, 5), (28, 28), (200, 5), (600, 300)])
def test_noise_is_taken_without_complaint(size):
    """Any picture at all gives a picture of the right form."""
    noise = np.random.default_rng(1).integers(0, 256, size[::-1]).astype(np.uint8)
    assert digit_from_image(Image.fromarray(noise)).shape == (SIDE, SIDE)


def test_a_small_digit_that_is_not_centred_is_made_so():
    """28 x 28 alone is not enough to pass through: a digit in a corner is moved to the middle."""
    corner = np.zeros((SIDE, SIDE), np.uint8)
    corner[:16, :16] = EXPECTED[6:22, 6:22]
    made = digit_from_image(grey(corner))
    assert looks_like_mnist(made)
    assert not np.array_equal(made, corner)


@pytest.fixture(scope="module")
def mnist(data):
    return read_idx(data / "mnist" / "t10k-images-idx3-ubyte.gz")


def test_every_mnist_test_image_passes_through_bit_identical(mnist):
    """All 10,000, written as PNG files and read again."""
    assert all(np.array_equal(digit_from_image(as_png(Image.fromarray(image))), image) for image in mnist)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "I;16"])
def test_mnist_images_pass_through_in_other_modes(mnist, mode):
    """A converter that made the images colour, transparent, palette or 16-bit has not changed the digit."""
    for image in mnist[:100]:
        wide = Image.fromarray(image.astype(np.uint16) * 257)
        picture = wide if mode == "I;16" else Image.fromarray(image).convert(mode)
        np.testing.assert_array_equal(digit_from_image(as_png(picture)), image)


def test_passing_through_costs_little(mnist):
    """Once decoded, at most ten times what it takes to read its pixels; the best of five rounds of either, in turns."""
    pictures = [Image.fromarray(image) for image in mnist[:500]]
    rounds = [(_round_s(digit_from_image, pictures), _round_s(np.array, pictures)) for _ in range(5)]
    assert min(through for through, _ in rounds) < 10 * min(read for _, read in rounds)


def _round_s(work: Callable[[Image.Image], Any], pictures: list[Image.Image]) -> float:
    begin_s = time.perf_counter()
    for picture in pictures:
        work(picture)
    return time.perf_counter() - begin_s


def test_samples_are_what_the_script_draws(tmp_path):
    """Every shipped sample is there, small, and equal in mode and pixels to a fresh drawing."""
    command = [sys.executable, str(ROOT / "scripts" / "draw-digits"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert [path.name for path in SAMPLES] == sorted(path.name for path in tmp_path.iterdir())
    assert sum(path.stat().st_size for path in SAMPLES) < 100_000
    for path in SAMPLES:
        with Image.open(path) as shipped, Image.open(tmp_path / path.name) as drawn:
            assert shipped.mode == drawn.mode
            np.testing.assert_array_equal(np.asarray(shipped), np.asarray(drawn))


@pytest.fixture(scope="module")
def stages():
    onnxruntime = pytest.importorskip("onnxruntime")
    return [onnxruntime.InferenceSession(path) for path in sorted(ZOO.glob("stage*.onnx"))]


def chances(stages, digits: list[np.ndarray]) -> np.ndarray:
    """[count, 10] probabilities the shipped model gives to uint8 [28, 28] digits."""
    values = {"image": ((np.stack(digits)[:, None] / 255 - 0.1307) / 0.3081).astype(np.float32)}
    for stage in stages:
        reads, makes = ([value.name for value in side] for side in (stage.get_inputs(), stage.get_outputs()))
        values |= dict(zip(makes, stage.run(makes, {name: values[name] for name in reads}), strict=True))
    powers = np.exp(values["logits"])
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_model_reads_every_sample(stages, path):
    """Each shipped sample is read as the digit its name begins with, without doubt."""
    with Image.open(path) as picture:
        (chance,) = chances(stages, [digit_from_image(picture)])
    assert chance[int(path.name[0])] > 0.9


def test_the_model_reads_photographs_of_digits(stages, mnist, data):
    """Test digits as pen on unevenly lit, noisy paper are read nearly as well as the originals."""
    labels, dice = read_idx(data / "mnist" / "t10k-labels-idx1-ubyte.gz")[:200], np.random.default_rng(7)
    read = chances(stages, [digit_from_image(photograph(image, dice)) for image in mnist[:200]]).argmax(axis=1)
    assert (read == labels).mean() > 0.97


def photograph(digit: np.ndarray, dice: np.random.Generator) -> Image.Image:
    """A digit as dark ink somewhere on paper under a lamp at one side."""
    large = np.asarray(Image.fromarray(digit).resize((120, 120), Image.Resampling.BICUBIC)) / 255
    top, left, angle = dice.integers(5, 75), dice.integers(5, 115), dice.uniform(0, 2 * np.pi)
    ink = np.zeros((200, 240))
    ink[top : top + 120, left : left + 120] = large
    down, right = np.mgrid[:200, :240] / 200 - 0.5
    light = 170 + 70 * (np.cos(angle) * right + np.sin(angle) * down) - 40 * (right**2 + down**2)
    return grey(light * (1 - 0.6 * ink) + dice.normal(0, 6, ink.shape))
