"""Calibrating a machine: which profiles and plans are refused; the fit's own tests are beside the regression."""

import json
from pathlib import Path
from typing import Any

import pytest

from partway.errors import InputError
from partway.partitioner.calibrate.machine import calibrate_machine, predicted_profile
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

MNIST = model_folder("mnist")
PLAN = load_plan(MNIST)


def write(path: Path, **more: Any) -> Path:
    """A profile of the shipped model in a file."""
    data = {"format": 1, "plan": PLAN.digest, "stage_s": [1e-3] * len(PLAN.stages), "machine": "pi4", "engine": "onnx"}
    path.write_text(json.dumps({**data, **more}))
    return path


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "has no operators; make it again with `partway profile --operators`"),
        ({"plan": "f" * 64, "operators": [{"name": "a", "kind": "Conv", "stage": 0, "time_s": 1e-3}]}, "is not among"),
    ],
)
def test_a_profile_that_teaches_nothing_is_refused(more: dict[str, Any], says: str, tmp_path: Path) -> None:
    """The sentence names the file and what to do."""
    profile = write(tmp_path / "p.json", **more)
    with pytest.raises(InputError, match=says):
        calibrate_machine([profile], [MNIST])


def test_a_profile_of_a_busy_machine_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It was forced, and teaches wrong times."""
    one = {"name": "a", "kind": "Conv", "stage": 0, "time_s": 1e-3}
    profile = write(tmp_path / "p.json", busy="measured on a busy machine (x)", operators=[one])
    with pytest.raises(InputError):
        calibrate_machine([profile], [MNIST])
    assert "p.json was measured on a busy machine (x)" in caplog.text


def test_a_folder_without_plans_is_refused(tmp_path: Path) -> None:
    """The folder is named."""
    with pytest.raises(InputError, match=f"there is no plan in {tmp_path}"):
        calibrate_machine([write(tmp_path / "p.json")], [tmp_path])


@pytest.mark.parametrize(("text", "says"), [("{", "calibration .*c.json"), ("[]", "is no calibration")])
def test_a_file_that_is_no_calibration_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """No JSON, and JSON of another form."""
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        predicted_profile(file, PLAN, MNIST)
