"""What cuts are measured on: real inputs, or pictures made as the options say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partway.cli.commands.slicing.sample_inputs import REAL, picture_of, real_samples
from partway.errors import InputError
from partway.partitioner.formats.model_metadata import Wishes
from partway.partitioner.plan.model_file.model_format import SliceableModel
from partway.partitioner.slicing import open_model
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.catalogue import IMAGENET_MEAN

pytest.importorskip("onnx")
MODEL = model_folder("mnist") / "stage0.onnx"


@pytest.fixture
def source() -> SliceableModel:
    """A model that takes pictures of 28 x 28."""
    return open_model(MODEL)


def test_options_make_the_picture(source: SliceableModel) -> None:
    """One number for mean or deviation holds for all channels; without options the picture is guessed."""
    guessed = picture_of(source, str(MODEL), Wishes())
    assert guessed is not None and guessed.mean == (0.0,)
    wished = picture_of(source, str(MODEL), Wishes(mean=(0.5,), std=(0.25,)))
    assert wished is not None and (wished.mean, wished.std, wished.scale) == ((0.5,), (0.25,), 1 / 255)
    scaled = picture_of(source, str(MODEL), Wishes(scale=1.0))
    assert scaled is not None and scaled.scale == 1.0


def test_a_model_of_the_zoo_has_its_own(source: SliceableModel) -> None:
    """Whatever the file."""
    picture = picture_of(source, "resnet50", Wishes())
    assert picture is not None and picture.mean == IMAGENET_MEAN


def test_calibration_pictures_are_the_samples(source: SliceableModel, tmp_path: Path) -> None:
    """A few of them, spread over the folder; none without a folder."""
    for number in range(9):
        Image.fromarray(np.full((28, 28), number * 20, np.uint8)).save(tmp_path / f"{number}.png")
    picture = picture_of(source, str(MODEL), Wishes())
    samples = real_samples(source, picture, tmp_path)
    assert len(samples) == REAL
    assert [int(sample.pixels.mean()) for sample in samples if sample.pixels is not None] == [0, 40, 80, 120]
    assert real_samples(source, picture, None) == []


def test_a_folder_without_pictures_is_an_input_error(source: SliceableModel, tmp_path: Path) -> None:
    """As later, when codecs are measured."""
    with pytest.raises(InputError, match="holds no pictures"):
        real_samples(source, picture_of(source, str(MODEL), Wishes()), tmp_path)
