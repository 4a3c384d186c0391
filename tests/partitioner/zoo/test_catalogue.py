"""What the catalogue says of models by name."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from PIL import Image

from partway.cli.main import main
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo.catalogue import IMAGENET_MEAN, RANDOM_WEIGHTS, ZOO
from partway.partitioner.zoo.networks import labels_of, weights_of

made_by_torchvision = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("torch", "onnxscript", "torchvision")),
    reason="torchvision is not installed",
)


@made_by_torchvision
def test_pictures_are_made_as_the_published_weights_want_them():
    """Sizes, mean and deviation of every model are torchvision's own; there is a name for each class."""
    for model in ZOO.values():
        if not model.weights:
            continue
        published, made = weights_of(model), model.preprocess()
        auxiliary = 3_326_696 if model.name == "inception_v3" else 0  # of the outputs that only training reads
        assert published.meta["num_params"] == model.parameters + auxiliary, model.name
        if model.imagenet:
            transforms = published.transforms()
            assert transforms.crop_size == [model.side] and transforms.resize_size == [model.crop_from], model.name
            assert (made.mean, made.std) == (tuple(transforms.mean), tuple(transforms.std))
            assert len(labels_of(model)) == 1000
        assert Preprocess.from_json(made.to_json()) == made


def test_the_table_lists_every_name(capsys):
    """`partway models`, for people and for programs."""
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert {"mnist", *ZOO} <= set(rows)
    assert all(name in shown for name in rows)
    assert rows["vit_b_16"]["weights"] == "torchvision IMAGENET1K_V1" and rows["unet"]["weights"] == ""


@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_model_takes_pictures(name):
    """Its entry survives a plan's JSON; photographs are cut from a larger size or stretched to the whole."""
    model = ZOO[name]
    made = model.preprocess()
    assert model.name == name
    assert Preprocess.from_json(made.to_json()) == made
    assert made.shape == (model.side, model.side, 3)
    assert (made.fit, made.crop_from) == (("crop", model.crop_from) if model.crop_from else ("stretch", 0))
    assert model.crop_from == 0 or model.crop_from > model.side
    assert made.tensor(made.pixels(Image.new("RGB", (40, 30), (255, 0, 0)))).shape == (1, 3, model.side, model.side)


def test_only_models_of_imagenet_are_normalised_by_it():
    """The others take pictures from 0 to 1."""
    assert ZOO["resnet18"].preprocess().mean == IMAGENET_MEAN
    assert ZOO["unet"].preprocess().mean == (0.0,)


def test_random_weights_are_never_taken_for_trained_ones():
    """What a plan says of them names no source."""
    assert "random" in RANDOM_WEIGHTS
    assert all(model.weights != RANDOM_WEIGHTS for model in ZOO.values())
