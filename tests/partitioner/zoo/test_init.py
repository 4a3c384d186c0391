"""The models that are shipped, and names for them."""

from pathlib import Path

import pytest

from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.zoo import bundled_folder, bundled_models, model_folder, sample_folder, unknown_model


def test_every_shipped_model_is_whole() -> None:
    """Each shipped model has a plan by its own name, and every stage file matches its digest."""
    assert "mnist" in bundled_models()
    for name in bundled_models():
        folder = model_folder(name)
        plan = load_plan(folder)
        assert folder == bundled_folder() / name
        assert plan.model == name
        assert all(read_stage(folder, stage) for stage in plan.stages)


def test_the_shipped_digits_are_pictures_of_every_digit() -> None:
    """The samples of mnist show each digit at least twice; their names say which."""
    samples = sample_folder(model_folder("mnist"))
    assert samples is not None
    digits = [path.name[0] for path in samples.glob("*.png")]
    assert all(digits.count(digit) >= 2 for digit in "0123456789")


def test_a_plan_is_found_by_its_folder_or_its_file(fake_plan: Path) -> None:
    """A path may name the folder or the plan.json in it."""
    assert model_folder(str(fake_plan)) == fake_plan
    assert model_folder(str(fake_plan / "plan.json")) == fake_plan
    assert sample_folder(fake_plan) is None


def test_a_shipped_name_is_not_shadowed_by_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called mnist in the present directory does not hide the shipped model."""
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_folder("mnist") == bundled_folder() / "mnist"


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A slip of the finger is answered with what was meant."""
    with pytest.raises(InputError, match=r"did you mean mnist.*known models: mnist"):
        model_folder("mnits")
    assert "did you mean" not in str(unknown_model("resnet50", ["mnist"]))


def test_a_folder_without_a_plan_says_so(tmp_path: Path) -> None:
    """An existing folder is not called an unknown model."""
    with pytest.raises(InputError, match=r"no plan\.json in"):
        model_folder(str(tmp_path))


def test_a_model_file_says_how_to_make_a_plan_of_it(tmp_path: Path) -> None:
    """An ONNX file is answered with the command that slices it."""
    file = tmp_path / "net.onnx"
    file.write_bytes(b"")
    with pytest.raises(InputError, match=r"partway plan .*net\.onnx --out"):
        model_folder(str(file))


def test_a_name_no_file_system_takes_is_refused() -> None:
    """A name of three hundred letters is no file, and no reason for a traceback."""
    with pytest.raises(InputError, match="known models: mnist"):
        model_folder("m" * 300)
