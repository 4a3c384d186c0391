"""The models that ship in the package: whole, with samples, and listed for a name that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.zoo.bundled import (
    bundled_folder,
    bundled_models,
    known_models,
    sample_folder,
    unknown_model,
)


def test_every_shipped_model_is_whole() -> None:
    """Each shipped model has a plan by its own name, and every stage file matches its digest."""
    assert "mnist" in bundled_models()
    for name in bundled_models():
        folder = bundled_folder() / name
        plan = load_plan(folder)
        assert plan.model == name
        assert all(read_stage(folder, stage) for stage in plan.stages)


def test_the_shipped_digits_are_pictures_of_every_digit() -> None:
    """The samples of mnist show each digit at least twice; their names say which."""
    samples = sample_folder(bundled_folder() / "mnist")
    assert samples is not None
    digits = [path.name[0] for path in samples.glob("*.png")]
    assert all(digits.count(digit) >= 2 for digit in "0123456789")


def test_a_shipped_variant_has_the_samples_of_its_model() -> None:
    """mnist-int8 shares the digits of mnist; a folder of the user's own has its own samples or none."""
    assert sample_folder(bundled_folder() / "mnist-int8") == bundled_folder() / "mnist" / "samples"


def test_samples_of_a_plan_by_path_lie_in_its_folder(fake_plan: Path) -> None:
    """A folder elsewhere has none of a shipped model, whatever it is called."""
    namesake = fake_plan.rename(fake_plan.with_name("mnist"))
    assert sample_folder(namesake) is None
    (namesake / "samples").mkdir()
    assert sample_folder(namesake) == namesake / "samples"


def test_the_shipped_models_are_listed_first() -> None:
    """Then the ones that are made by name; no name comes twice."""
    names = known_models()
    assert names[: len(bundled_models())] == bundled_models()
    assert "mobilenet_v2" in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("model", "hint"),
    [("mnits", "did you mean mnist? "), ("resnet50", "")],
)
def test_an_unknown_name_is_answered_with_the_known_ones(model: str, hint: str) -> None:
    """The nearest one is suggested where one is near."""
    error = unknown_model(model, ["mnist", "mobilenet_v2"])
    assert isinstance(error, InputError)
    assert str(error) == f"unknown model '{model}'; {hint}known models: mnist, mobilenet_v2 (or a plan's folder)"
