"""The models in a folder."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import write_fake_plan

from partway.cloud.models.repository import load_model, load_repository, plan_folders
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan, save_plan
from partway.partitioner.zoo import bundled_folder, model_folder


def test_a_model_is_loaded_and_measured(fake_plan: Path) -> None:
    """Plan, stages and the seconds of every suffix; nothing is left to compute at the last split."""
    model = load_model(fake_plan, 1)
    assert (model.plan.model, model.digest) == ("fake", load_plan(fake_plan).digest)
    assert list(model.suffix_s) == sorted(model.suffix_s, reverse=True)
    assert (len(model.suffix_s), model.suffix_s[-1], model.preprocess) == (4, 0, None)
    assert model.profile["plan"] == model.digest
    live = model.chain.run({"x": np.zeros((2, 64), np.float32)}, 0, 3)
    assert live["y"].shape == (2, 4)


def test_the_seconds_of_a_suffix_are_those_of_its_stages(tmp_path: Path) -> None:
    """A suffix of stages that wait three milliseconds each takes that long, or longer on a busy machine."""
    model = load_model(write_fake_plan(tmp_path / "slow", stage_s=0.003), 1)
    assert all(seconds >= 0.00299 * (3 - k) for k, seconds in enumerate(model.suffix_s))


def test_a_plan_may_be_given_by_its_file(fake_plan: Path) -> None:
    """plan.json stands for its folder."""
    assert load_model(fake_plan / "plan.json").folder == fake_plan


def test_the_shipped_models_are_served() -> None:
    """The folder inside the package is a models folder like any other, and its pictures are known."""
    models = load_repository(bundled_folder(), 1)
    assert models["mnist"].preprocess is not None
    assert models["mnist"].preprocess.shape == (28, 28, 1)


def test_a_folder_of_models_is_read_by_plan(tmp_path: Path) -> None:
    """Sub-folders with a plan are models; other files and folders are left alone; a plan's folder is itself one."""
    for name in ("b", "a"):
        write_fake_plan(tmp_path / name, name=name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("hello")
    assert plan_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert plan_folders(tmp_path / "a") == [tmp_path / "a"]
    assert list(load_repository(tmp_path)) == ["a", "b"]


def test_stage_files_are_found_by_digest_alone(fake_plan: Path) -> None:
    """Only what a plan names can be asked for."""
    model = load_model(fake_plan)
    for stage in model.plan.stages:
        assert model.stage_path(stage.digest) == fake_plan / stage.file
    for digest in ("", "0" * 64, "stage0.json", "../fake/stage0.json"):
        assert model.stage_path(digest) is None


def change_plan(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit plan.json as somebody would who leaves out the digest."""
    data = json.loads((folder / "plan.json").read_text())
    del data["digest"]
    change(data)
    (folder / "plan.json").write_text(json.dumps(data))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no JSON": (lambda folder: (folder / "plan.json").write_text("{"), "plan"),
    "not text": (lambda folder: (folder / "plan.json").write_bytes(b"\xff\xfe\0"), "plan"),
    "nested without end": (lambda folder: (folder / "plan.json").write_text("[" * 200_000), "plan"),
    "another format": (lambda folder: change_plan(folder, lambda plan: plan.update(format=99)), "format"),
    "an unknown engine": (lambda folder: change_plan(folder, lambda plan: plan.update(engine="x")), "engine 'x'"),
    "a changed plan": (
        lambda folder: (folder / "plan.json").write_text((folder / "plan.json").read_text().replace("64", "65")),
        "changed",
    ),
    "a stage gone": (lambda folder: (folder / "stage1.json").unlink(), "stage1.json"),
    "a stage changed": (lambda folder: (folder / "stage1.json").write_bytes(b"x"), "digest differs"),
    "a stage that is a folder": (
        lambda folder: ((folder / "stage1.json").unlink(), (folder / "stage1.json").mkdir()),
        "stage1.json",
    ),
    "a stage from elsewhere": (
        lambda folder: change_plan(folder, lambda plan: plan["stages"][0].update(file="../../etc/passwd")),
        "plain file name",
    ),
    "stages that do not fit together": (
        lambda folder: change_plan(folder, lambda plan: plan["stages"].insert(0, plan["stages"].pop())),
        "",
    ),
    "an output nobody makes": (
        lambda folder: change_plan(
            folder,
            lambda plan: (plan["tensors"].append({**plan["tensors"][0], "name": "z"}), plan["outputs"].append("z")),
        ),
        "",
    ),
    "a damaged picture entry": (
        lambda folder: change_plan(folder, lambda plan: plan.update(input={"kind": "image", "value": "x"})),
        "input entry",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_model_does_not_keep_the_others_away(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The good one is served, the log says in a sentence which is not and why."""
    write_fake_plan(tmp_path / "good", name="good")
    bad = write_fake_plan(tmp_path / "bad", name="bad")
    damage, sentence = DAMAGE[what]
    damage(bad)
    with caplog.at_level(logging.ERROR):
        assert list(load_repository(tmp_path)) == ["good"]
    (record,) = caplog.records
    assert record.getMessage().startswith("not serving bad: ")
    assert sentence in record.getMessage() and record.exc_info is None
    with pytest.raises(InputError):
        load_repository(bad)


def test_two_models_of_one_name_are_not_mixed_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first folder by name is served, the other is reported."""
    write_fake_plan(tmp_path / "a", name="same")
    write_fake_plan(tmp_path / "b", sizes=(8, 4), name="same")
    with caplog.at_level(logging.ERROR):
        models = load_repository(tmp_path)
    assert models["same"].folder == tmp_path / "a"
    assert "not serving b: there is a model same already" in caplog.text


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    """Empty, missing or no folder at all: each is a sentence that says what to do."""
    with pytest.raises(InputError, match=r"no plan in .*; put one there with `partway plan"):
        load_repository(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_repository(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        load_repository(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be read"):
        load_repository(tmp_path / ("x" * 5000))


def test_a_changed_stage_of_the_shipped_model_is_not_served(tmp_path: Path) -> None:
    """One bit in an ONNX file is noticed before it is loaded."""
    folder = tmp_path / "mnist"
    shutil.copytree(model_folder("mnist"), folder)
    data = bytearray((folder / "stage1.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "stage1.onnx").write_bytes(data)
    with pytest.raises(InputError, match=r"stage1\.onnx is not the one the plan names"):
        load_model(folder)


def test_a_plan_of_another_engine_needs_its_stages(tmp_path: Path) -> None:
    """ONNX stages that are none are refused by ONNX Runtime's words."""
    folder = write_fake_plan(tmp_path / "fake")
    plan = load_plan(folder)
    save_plan(replace(plan, engine="onnx"), folder)
    with pytest.raises(InputError, match="ONNX Runtime cannot load this stage"):
        load_model(folder)
