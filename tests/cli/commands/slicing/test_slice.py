"""``partway slice`` of a real ONNX file."""

from pathlib import Path

import pytest

from partway.cli.main import main
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

pytest.importorskip("onnx")


def test_a_plan_and_its_stages_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured: the plan has no profile and no codecs."""
    out = tmp_path / "plan"
    assert main(["slice", str(model_folder("mnist") / "stage0.onnx"), "--out", str(out), "--name", "half"]) == 0
    plan = load_plan(out)
    assert plan.model == "half" and plan.profiles == () and plan.candidates == ()
    assert {stage.file for stage in plan.stages} <= {path.name for path in out.iterdir()}
    printed = capsys.readouterr().out
    assert f"half: {len(plan.stages)} stages" in printed and "time here" not in printed
