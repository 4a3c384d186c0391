"""``partway calibrate``: what it refuses; the fit's own tests are beside the library."""

from pathlib import Path

import pytest

from partway.cli.main import main


def test_folders_without_a_plan_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence says what to give, and no calibration is written."""
    out = tmp_path / "c.json"
    assert main(["calibrate", str(tmp_path / "p.json"), "--models", str(tmp_path), "--out", str(out)]) == 2
    assert "there is no plan in" in capsys.readouterr().err
    assert not out.exists()


def test_models_are_required(capsys: pytest.CaptureFixture[str]) -> None:
    """Profiles alone say nothing about operators."""
    with pytest.raises(SystemExit, match="2"):
        main(["calibrate", "p.json", "--out", "c.json"])
    assert "--models" in capsys.readouterr().err
