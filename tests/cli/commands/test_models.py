"""``partway models``."""

import json

import pytest

from partway.cli.main import main
from partway.partitioner.zoo import bundled_models
from partway.partitioner.zoo.catalogue import ZOO


def test_every_name_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped model and the catalogue, each with what it takes and where its weights come from."""
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert set(rows) == {*bundled_models(), *ZOO}
    assert rows["mnist"]["weights"] == "shipped"
    assert rows["resnet18"]["needs"] == "torch, torchvision"
