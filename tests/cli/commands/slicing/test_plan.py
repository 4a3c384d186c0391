"""``partway plan`` of a real ONNX file."""

from pathlib import Path

import pytest

from partway.cli.main import main
from partway.partitioner.plan.plan import load_plan
from partway.partitioner.zoo import model_folder

pytest.importorskip("onnx")
MODEL = str(model_folder("mnist") / "stage0.onnx")


def test_a_plan_is_measured_on_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages and codecs; without real inputs nothing is known of answers, and the last line says so."""
    monkeypatch.setattr("partway.cli.commands.slicing.plan.MEASURE_S", 0.01)
    out = tmp_path / "plan"
    assert main(["plan", MODEL, "--out", str(out)]) == 0
    plan = load_plan(out)
    assert len(plan.profiles[0]["stage_s"]) == len(plan.stages)
    assert plan.candidates and all(entry["agreement"] is None for entry in plan.candidates)
    printed = capsys.readouterr().out
    assert "time here" in printed and "what crosses (budget: 1 points)" in printed
    assert "no --calibrate: lossy codecs are not admitted" in printed


def test_no_frames_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is sliced."""
    out = tmp_path / "plan"
    assert main(["plan", MODEL, "--out", str(out), "--frames", "0"]) == 2
    assert "--frames must be 1 or more, not 0" in capsys.readouterr().err
    assert not out.exists()
