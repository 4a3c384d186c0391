"""``partway plan`` of a real ONNX file."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from partway.cli.commands.slicing.plan import _frames, add_arguments
from partway.cli.main import main
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.system.arguments import Parser

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


def parsed(*words: str) -> argparse.Namespace:
    """These words as the command reads them."""
    parser = Parser()
    add_arguments(parser)
    return parser.parse_args([MODEL, "--out", "x", *words])


def test_without_inputs_frames_are_made_up() -> None:
    """Random pictures that tell sizes and times; the same every time."""
    first, again = (_frames(parsed(), load_plan(model_folder("mnist"))) for _ in range(2))
    assert len(first) == 8
    assert all(frame.label is None for frame in first)
    np.testing.assert_array_equal(first[3].values["image"], again[3].values["image"])


def test_inputs_are_read_as_the_options_say(tmp_path: Path) -> None:
    """At most so many, with an offset added to every class."""
    np.savez(tmp_path / "a.npz", images=np.zeros((6, 28, 28), np.uint8), labels=np.arange(6))
    given = ("--calibrate", str(tmp_path / "a.npz"), "--frames", "3", "--truth-offset", "1")
    assert [frame.label for frame in _frames(parsed(*given), load_plan(model_folder("mnist")))] == [1, 3, 5]


def test_a_calibrated_plan_outlives_a_plan_without_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same model and cuts: codecs stay, and `slice` keeps them too; other cuts are refused, then forced."""
    monkeypatch.setattr("partway.cli.commands.slicing.plan.MEASURE_S", 0.01)
    out = tmp_path / "plan"
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", images=rng.integers(0, 255, (4, 28, 28), np.uint8))
    base = [MODEL, "--out", str(out), "--name", "m"]
    assert main(["plan", *base, "--calibrate", str(tmp_path / "a.npz")]) == 0
    before = load_plan(out)
    assert before.candidates[0]["agreement"] is not None or before.candidates[0]["relative_error"] is not None
    for verb in ("plan", "slice"):
        capsys.readouterr()
        assert main([verb, *base]) == 0
        assert "kept from the earlier plan" in capsys.readouterr().out
        after = load_plan(out)
        assert (after.digest, after.candidates, after.codecs) == (before.digest, before.candidates, before.codecs)
        assert len(after.profiles) == 1
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(["plan", *base, "--cuts", "relu1"]) == 2
    error = capsys.readouterr().err
    assert "calibrated codecs, which would be lost because its cuts differ" in error and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files
    assert main(["slice", *base, "--cuts", "relu1", "--force"]) == 0
    assert {path.name for path in out.iterdir()} == {"plan.json", "stage0.onnx", "stage1.onnx"}
    assert main(["slice", *base]) == 0
    assert {path.name for path in out.iterdir()} == {"plan.json", "stage0.onnx"}


def test_a_failure_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad model, a missing folder of pictures, Ctrl-C while stages are timed."""
    out = tmp_path / "new" / "plan"
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"not a model at all")
    assert main(["plan", str(bad), "--out", str(out)]) == 2
    assert main(["plan", MODEL, "--out", str(out), "--calibrate", str(tmp_path / "nowhere")]) == 2

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("partway.partitioner.profile.measure.measure", interrupted)
    assert main(["plan", MODEL, "--out", str(out)]) == 130
    assert not (tmp_path / "new").exists()
