"""``partway profile --cloud``: what a running cloud says of itself, as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import RealCloud

from partway.cli.commands import profile
from partway.cli.main import main
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.file import load_profile
from partway.partitioner.zoo import model_folder
from partway.system.arguments import Parser


def test_a_running_cloud_gives_its_profile(
    start_cloud: Callable[..., RealCloud], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is like one measured here, with the cloud's threads, spread and date, and explain takes it."""
    address, path = start_cloud("--threads", "1").address, tmp_path / "cloud.json"
    assert main(["profile", "--cloud", address, "--model", "mnist", "--out", str(path)]) == 0
    assert "whole model" in capsys.readouterr().out
    plan = load_plan(model_folder("mnist"))
    read = load_profile(path, plan)
    assert (read.plan, read.model, read.engine, read.threads) == (plan.digest, "mnist", "onnx", 1)
    assert len(read.stage_s) == 3 and read.runs >= 5 and read.date and read.machine
    assert main(["profile", "mnist", "--cloud", address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    profiles = ["--profile", str(path), "--cloud-profile", str(path)]
    assert main(["explain", "mnist", *profiles, "--json"]) == 0
    assert main(["profile", "--cloud", address, "--model", "nosuch"]) == 2
    assert "served: mnist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mnist", "--cloud", "no where"], "is not HOST:PORT"),
        (["mnist", "--cloud", "127.0.0.1:1", "--timeout", "200ms"], "no cloud answers at 127.0.0.1:1"),
        (["mnist", "--cloud", "127.0.0.1:1", "--timeout", "5"], "needs a number and a unit"),
        (["mnist", "--cloud", "127.0.0.1:1", "--predict", "c.json"], "give one of them"),
        (["mnist", "--runs", "2"], "--runs must be 5 to"),
        (["mnist", "--out", "/nowhere/p.json"], "no such folder"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], says: str) -> None:
    """An InputError that says what was wrong."""
    parser = Parser()
    profile.add_arguments(parser)
    with pytest.raises(InputError, match=says):
        profile.run(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cloud", "127.0.0.1:1"], "the following arguments are required: MODEL"),
        (["mnist", "--model", "other"], "unexpected argument 'other'"),
    ],
)
def test_exactly_one_model_is_named(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By place or by name; none and two are usage errors."""
    with pytest.raises(SystemExit, match="2"):
        main(["profile", *arguments])
    assert capsys.readouterr().err.startswith(f"partway profile: {says}")


def test_without_a_cloud_this_machine_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ever."""
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_SPREAD", 1e9)
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_WAIT", 1e9)
    assert main(["profile", "mnist", "--runs", "5"]) == 0
    assert "5 runs" in capsys.readouterr().out


@pytest.mark.parametrize("operators", [[], ["--operators"]])
def test_a_busy_machine_is_measured_by_force_only(
    operators: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the table say so."""
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_SPREAD", -1.0)
    path = tmp_path / "p.json"
    base = ["profile", "mnist", "--runs", "5", "--out", str(path), *operators]
    assert main(base) == 2
    assert "or measure all the same with --force" in capsys.readouterr().err
    assert not path.exists()
    assert main([*base, "--force"]) == 0
    assert "measured on a busy machine (spread" in capsys.readouterr().out
    assert json.loads(path.read_text())["busy"].startswith("measured on a busy machine")
