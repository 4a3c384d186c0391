"""``partway explain``: the model by place or by name; the decisions' own tests are beside the library."""

import json
from pathlib import Path

import pytest

from partway.cli.commands import explain
from partway.cli.main import main


def test_the_model_is_given_either_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both command lines explain the same plan."""
    monkeypatch.setattr(explain, "MEASURE_S", 0.01)
    digests = set()
    for words in (["mnist"], ["--model", "mnist"]):
        assert main(["explain", *words, "--json"]) == 0
        digests.add(json.loads(capsys.readouterr().out)["plan"])
    assert len(digests) == 1


def test_a_profile_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is missing, and one that is no JSON: each sentence says how to make one."""
    text = tmp_path / "text.json"
    text.write_text("{")
    for path, sentence in ((tmp_path / "none.json", "cannot be read"), (text, "is not a profile")):
        assert main(["explain", "mnist", "--profile", str(path)]) == 2
        error = capsys.readouterr().err
        assert sentence in error and "partway profile" in error
