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
