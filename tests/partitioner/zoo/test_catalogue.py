"""What the catalogue says of models by name."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from partway.cli.main import main
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo.catalogue import ZOO
from partway.partitioner.zoo.networks import labels_of, weights_of

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
if find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)


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
