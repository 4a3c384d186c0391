"""Predicting a machine: the regression on made-up machines whose law is known, and on real profiles of real models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.machines import NETWORKS, by_law, graphs_of

from partway.cli.main import main
from partway.errors import InputError
from partway.partitioner.profile.file import OperatorSeconds
from partway.partitioner.profile.fused_groups import Pair, measured_groups
from partway.partitioner.profile.predict import calibrate, calibration_from_json, calibration_to_json, predict

ABOUT = {"machine": "a made-up board", "engine": "onnx", "engine_version": "1", "threads": 1}


def test_a_machine_that_obeys_the_law_is_predicted_exactly(folders: dict[str, Path]) -> None:
    """Fusion learnt from the profiles, the coefficients found, models left out predicted from their graph alone."""
    made = calibrate([by_law(folder) for folder in folders.values()], ABOUT)
    assert made.total.count == len(NETWORKS)
    assert made.total.p90 < 1e-6
    assert made.regression.habits.fused == {Pair("Conv", "Relu")}
    assert made.regression.rest.seconds((1.0, 0.0, 0.0)) == pytest.approx(3e-5)


def test_noise_shows_in_the_error(folders: dict[str, Path]) -> None:
    """The reported error is that of the measurements, no less: it would be a lie to report the fit's own."""
    quiet, noisy = (
        calibrate([by_law(folder, noise, 3) for folder in folders.values()], ABOUT).operators["Conv"].median
        for noise in (0.02, 0.3)
    )
    assert 0.002 < quiet < 0.1 < noisy < 1


def test_a_wrong_law_is_caught(folders: dict[str, Path]) -> None:
    """Times that have nothing to do with work or bytes cannot be predicted, and the calibration says so."""
    rng = np.random.default_rng(0)
    seen = []
    for folder in folders.values():
        graphs = graphs_of(folder)
        operators = [
            OperatorSeconds(op.name, op.kind, stage, float(10 ** rng.uniform(-6, -2)))
            for stage, graph in enumerate(graphs)
            for op in graph.operators
        ]
        stage_s = [sum(one.time_s for one in operators if one.stage == stage) for stage in range(len(graphs))]
        seen.append((measured_groups(folder.name, graphs, stage_s, operators), graphs))
    assert calibrate(seen, ABOUT).operators["Conv"].median > 0.5


def test_a_calibration_survives_its_file(folders: dict[str, Path]) -> None:
    """What is read back predicts the same; damage is a sentence."""
    made = calibrate([by_law(folder, 0.1) for folder in folders.values()], ABOUT)
    data = json.loads(json.dumps(calibration_to_json(made)))
    again = calibration_from_json(data)
    graphs = graphs_of(folders["deep"])
    assert predict(again.regression, graphs) == predict(made.regression, graphs)
    assert (again.total, again.operators, again.models) == (made.total, made.operators, made.models)
    data["pooled"]["coefficients"][0] = -1
    with pytest.raises(InputError, match="damaged"):
        calibration_from_json(data)
    with pytest.raises(InputError, match="not a calibration"):
        calibration_from_json({"format": 1})


def test_two_models_are_too_few(folders: dict[str, Path]) -> None:
    """One left out leaves one: nothing could be said about the error."""
    with pytest.raises(InputError, match="3 models or more, not 2"):
        calibrate([by_law(folders[name]) for name in ("deep", "wide")], ABOUT)


# --- real profiles


@pytest.fixture(scope="module")
def profiles(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Profiles with operators of all seven, measured here and now by ONNX Runtime's profiler."""
    out = tmp_path_factory.mktemp("profiles")
    made = []
    for name, folder in folders.items():
        path = out / f"{name}.json"
        for _ in range(5):
            if main(["profile", str(folder), "--operators", "--threads", "1", "--runs", "15", "--out", str(path)]) == 0:
                break
        else:
            pytest.skip("this machine is too busy to be measured")
        made.append(path)
    return made


@pytest.fixture(scope="module")
def calibration(profiles: list[Path], folders: dict[str, Path]) -> Path:
    """A calibration of this machine from all profiles but that of ``both``."""
    path = profiles[0].parent / "here.json"
    given = [str(profile) for profile in profiles if profile.stem != "both"]
    assert main(["calibrate", *given, "--models", str(folders["both"].parent), "--out", str(path)]) == 0
    return path


def test_real_profiles_are_calibrated_and_the_error_is_told(calibration: Path) -> None:
    """Six architectures, each left out in turn; the file has the error per kind and of the whole model."""
    data = json.loads(calibration.read_text())
    assert data["error"]["models"] == len(data["models"]) == len(NETWORKS) - 1
    assert 0 <= data["error"]["median"] <= data["error"]["p90"]
    assert data["operators"]["Conv"]["points"] >= 20
    assert data["operators"]["Conv"]["measured"] >= 20
    assert ["Conv", "Relu"] in data["fused"]
    print({key: data[key] for key in ("error", "models")})  # noqa: T201


def test_a_model_never_measured_is_predicted_and_marked(
    calibration: Path,
    folders: dict[str, Path],
    profiles: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``~`` in the terminal and on the page wherever the device's times are in a number, and only there."""
    folder, out, page = folders["both"], tmp_path / "predicted.json", tmp_path / "page.html"
    assert main(["profile", str(folder), "--predict", str(calibration), "--out", str(out)]) == 0
    assert "whole model ~" in capsys.readouterr().out
    data = json.loads(out.read_text())
    assert data["predicted"]["from"] == "here.json"
    assert data["predicted"]["error"] == json.loads(calibration.read_text())["error"]["p90"]
    assert sum(one["time_s"] for one in data["operators"]) == pytest.approx(sum(data["stage_s"]))
    truth = sum(json.loads(profiles[-1].read_text())["stage_s"])
    assert truth / 10 < sum(data["stage_s"]) < truth * 10

    sides = ["--profile", str(out), "--cloud-profile", str(profiles[-1])]
    assert main(["explain", str(folder), *sides, "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if "(device)" in line)
    assert row.count("~") == 2
    assert all("~" not in line for line in shown.splitlines() if "(cloud)" in line)
    assert "the device's times are predicted from here.json, ±" in shown
    text = page.read_text(encoding="utf-8")
    assert "whole model ~" in text
    assert ", predicted, ±" in text
    assert '<td class="number">~' in text
    assert main(["explain", str(folder), *sides, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["device"]["predicted"]["from"] == "here.json"
    assert "predicted" not in said["cloud"]
    assert {row["predicted"] for row in said["candidates"] if row["k"] == 0} == {False}
    assert {row["predicted"] for row in said["candidates"] if row["k"] > 0} == {True}
    assert "~" in said["reason"]


def test_what_cannot_be_calibrated_is_one_sentence(
    calibration: Path,
    folders: dict[str, Path],
    profiles: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Profiles without operators, of another machine, predicted ones, and plans that are not given."""
    models = ["--models", str(folders["both"].parent), "--out", str(tmp_path / "out.json")]
    data = json.loads(profiles[0].read_text())
    changes = {
        "has no operators": {"operators": []},
        "is of another machine": {"machine": "another"},
        "is itself predicted": {"predicted": {"from": "x", "error": 0.1}},
        "not among --models": {"plan": "0" * 64},
    }
    for says, change in changes.items():
        bad = tmp_path / "bad.json"
        bad.write_text(json.dumps({**data, **change}), encoding="utf-8")
        assert main(["calibrate", str(profiles[1]), str(bad), *models]) == 2
        assert says in capsys.readouterr().err
    assert main(["calibrate", str(profiles[0]), "--models", str(tmp_path), "--out", str(tmp_path / "x.json")]) == 2
    assert "there is no plan in" in capsys.readouterr().err
    assert main(["profile", "mnist", "--predict", str(profiles[0])]) == 2
    assert "not a calibration" in capsys.readouterr().err
    assert main(["profile", "mnist", "--predict", str(calibration), "--operators"]) == 2
    assert "leave out --operators" in capsys.readouterr().err
    assert main(["profile", "mnist", "--predict", str(calibration), "--cloud", "127.0.0.1:1"]) == 2
    assert "give one of them" in capsys.readouterr().err
