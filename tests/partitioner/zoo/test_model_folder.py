"""The folder of a model: by name, by path, and the sentences where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import write_fake_plan

import partway
from partway.errors import InputError
from partway.partitioner.zoo.bundled import bundled_folder
from partway.partitioner.zoo.model_folder import model_folder


def test_a_plan_is_found_by_its_folder_or_its_file(fake_plan: Path) -> None:
    """A path may name the folder or the plan.json in it."""
    assert model_folder(str(fake_plan)) == fake_plan
    assert model_folder(str(fake_plan / "plan.json")) == fake_plan


def test_a_shipped_name_is_not_shadowed_by_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder called mnist in the present directory does not hide the shipped model."""
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_folder("mnist") == bundled_folder() / "mnist"


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A slip of the finger is answered with what was meant."""
    with pytest.raises(InputError, match=r"did you mean mnist.*known models: mnist"):
        model_folder("mnits")


def test_a_folder_without_a_plan_says_so(tmp_path: Path) -> None:
    """An existing folder is not called an unknown model."""
    with pytest.raises(InputError, match=r"no plan\.json in"):
        model_folder(str(tmp_path))


def test_a_model_file_says_how_to_make_a_plan_of_it(tmp_path: Path) -> None:
    """An ONNX file is answered with the command that slices it."""
    file = tmp_path / "net.onnx"
    file.write_bytes(b"x")
    with pytest.raises(InputError, match=r"partway plan .*net\.onnx --out"):
        model_folder(str(file))


def test_a_name_no_file_system_takes_is_refused() -> None:
    """A name of three hundred letters is no file, and no reason for a traceback."""
    with pytest.raises(InputError, match="known models: mnist"):
        model_folder("m" * 300)


def test_a_model_made_by_name_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained weights go before random ones; before either is made, the sentence gives the command."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"no plan of mobilenet_v2 yet; make one with `partway plan mobilenet_v2 "):
        model_folder("mobilenet_v2")
    made = tmp_path / "partway" / "zoo"
    random = write_fake_plan(made / f"mobilenet_v2-random-{partway.__version__}")
    assert model_folder("mobilenet_v2") == random
    trained = write_fake_plan(made / f"mobilenet_v2-{partway.__version__}")
    assert model_folder("mobilenet_v2") == trained


def test_a_folder_goes_before_a_name_of_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan in the present directory that is called like a model made by name is the user's own."""
    monkeypatch.chdir(tmp_path)
    write_fake_plan(tmp_path / "mobilenet_v2")
    assert model_folder("mobilenet_v2") == Path("mobilenet_v2")
