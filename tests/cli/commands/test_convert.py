"""``partway convert``: arguments of the verb; the formats' own tests are beside their readers."""

from pathlib import Path

import pytest

from partway.cli.main import main


def test_an_unknown_format_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence names the format that was probably meant."""
    with pytest.raises(SystemExit, match="2"):
        main(["convert", "scision", "file", "--out", "dir"])
    assert "did you mean scission?" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing is written."""
    assert main(["convert", "scission", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
