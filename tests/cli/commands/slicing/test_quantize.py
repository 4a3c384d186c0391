"""``partway quantize``: what it refuses; the figures' own tests are beside the library."""

from pathlib import Path

import pytest

from partway.cli.main import main
from partway.partitioner.zoo import model_folder

MNIST = model_folder("mnist")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--frames", "1"], "--frames must be"),
        (["--calibrate", str(MNIST / "samples"), "--out", str(MNIST)], "is the model's own folder; give another"),
    ],
)
def test_what_cannot_be_quantized_is_one_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the shipped model stays as it is."""
    before = sorted(path.name for path in MNIST.iterdir())
    given = ["mnist", "--out", str(tmp_path / "out"), "--calibrate", str(tmp_path), *options]
    assert main(["quantize", *given]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert sorted(path.name for path in MNIST.iterdir()) == before


def test_too_few_inputs_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of them set ranges, the other half measure."""
    sample = next(path for path in sorted((MNIST / "samples").iterdir()) if path.suffix == ".png")
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / sample.name).write_bytes(sample.read_bytes())
    assert main(["quantize", "mnist", "--calibrate", str(tmp_path / "few"), "--out", str(tmp_path / "out")]) == 2
    assert "holds 1 inputs; quantize needs" in capsys.readouterr().err


def test_stages_slower_than_float_stay_in_float(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in the plan run with the float ones in one chain; if all are slower, nothing is written."""
    pytest.importorskip("onnx")
    from partway.engines.registry import engine_for
    from partway.partitioner.calibrate import quantize
    from partway.partitioner.plan.chain import load_folder
    from partway.partitioner.plan.plan_file import load_plan
    from partway.partitioner.profile.measure import StageTimes

    ratios = [4.0, 1.05, 0.5]
    monkeypatch.setattr(
        quantize, "compared", lambda *_: [StageTimes((1.0,) * 3, 0.0, 9), StageTimes(tuple(ratios), 0.0, 9)]
    )
    out = tmp_path / "out"
    base = ["quantize", "mnist", "--out", str(out), "--calibrate", str(MNIST / "samples")]
    assert main(base) == 0
    printed = capsys.readouterr().out
    assert "4.00" in printed and "slower in int8 here: stage 0; --keep-slow keeps them" in printed
    plan = load_plan(out)
    assert [quantize.INT8 in stage.twins for stage in plan.stages] == [False, True, True]
    assert not (out / "stage0.int8.onnx").exists()
    assert quantize.INT8 in plan.engines
    assert load_folder(out, plan, engine_for(quantize.INT8, 1)).complete
    assert [stage.file for stage in plan.stages_on(quantize.INT8)] == [
        "stage0.onnx",
        "stage1.int8.onnx",
        "stage2.int8.onnx",
    ]
    assert plan.twin_agreement[quantize.INT8][1] == 1.0  # one stage, in float
    before = (out / "plan.json").read_bytes()
    ratios[:] = [2.0, 2.0, 2.0]
    assert main(base) == 2
    assert "is slower on this machine than in float" in capsys.readouterr().err
    assert (out / "plan.json").read_bytes() == before
    assert main([*base, "--keep-slow"]) == 0
    assert all(quantize.INT8 in stage.twins for stage in load_plan(out).stages)
