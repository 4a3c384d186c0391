"""``partway verify``: every split of a plan against the whole model."""

import json
from pathlib import Path

import numpy as np
import pytest

from partway.cli.main import main
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder


def test_every_split_of_the_shipped_model_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """By place or by name, as a table or as JSON."""
    assert main(["verify", "mnist", "--runs", "2"]) == 0
    assert "parity of mnist at every split" in capsys.readouterr().out
    assert main(["verify", "--model", "mnist", "--runs", "2", "--json"]) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    assert [split["k"] for split in splits] == [0, 1, 2, 3] and all(split["holds"] for split in splits)


def test_real_inputs_are_read_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One array per input of the model, the first axis counts frames."""
    spec = load_plan(model_folder("mnist")).crossing(0)[0]
    file = tmp_path / "real.npz"
    np.savez(file, **{spec.name: np.zeros((3, *spec.shape[1:]), spec.dtype)})
    assert main(["verify", "mnist", "--inputs", str(file), "--json"]) == 0
    assert {split["inputs"] for split in json.loads(capsys.readouterr().out)["splits"]} == {3}


def test_inputs_of_another_model_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the input that is missing; so it does for files that are none and for no runs."""
    other, text = tmp_path / "other.npz", tmp_path / "text.npz"
    np.savez(other, nothing=np.zeros(3))
    text.write_text("no archive")
    for words, sentence in (
        (["--inputs", str(other)], "lacks the model's input"),
        (["--inputs", str(text)], "is not an .npz file"),
        (["--inputs", str(tmp_path / "none.npz")], "cannot be read"),
        (["--runs", "0"], "--runs must be 1 or more"),
    ):
        assert main(["verify", "mnist", *words]) == 2
        assert sentence in capsys.readouterr().err


def test_numbers_outside_the_models_type_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check on wrapped numbers would prove nothing about those that were given."""
    np.savez(tmp_path / "x.npz", image=np.full((1, 28, 28, 1), -200))
    assert main(["verify", str(model_folder("mnist-int8")), "--inputs", str(tmp_path / "x.npz")]) == 2
    assert "image is int8, -128 to 127; -200 is outside" in capsys.readouterr().err


def test_a_picture_is_no_original_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--against gets the same advice as MODEL."""
    sample = next(path for path in sorted((model_folder("mnist") / "samples").iterdir()) if path.suffix == ".png")
    assert main(["verify", "mnist", "--against", str(sample)]) == 2
    assert "is a picture; give it with --input" in capsys.readouterr().err
