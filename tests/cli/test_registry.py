"""Verbs of ``partway`` are found by name, Partway's own and those of other packages."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from partway.cli import registry
from partway.cli.registry import command, commands
from partway.errors import InputError
from partway.plugins import Registry

VERBS = ["bench", "calibrate", "convert", "cuts", "doctor", "explain", "link", "models", "plan", "profile"]
VERBS += ["quantize", "slice", "tiers", "train", "verify"]


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with two verbs: one works, one is no verb at all."""
    information = tmp_path / "fruit-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: fruit\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[partway.commands]\npeel = fruit_peel\nrot = fruit_rot\n")
    (tmp_path / "fruit_peel.py").write_text(
        'HELP = "peel it"\n'
        'def add_arguments(parser): parser.add_argument("--deep", action="store_true")\n'
        "def run(args): print('deep' if args.deep else 'thin'); return 7\n"
    )
    (tmp_path / "fruit_rot.py").write_text("HELP = 'rot'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "COMMANDS", Registry("partway.commands", "command"))
    yield tmp_path


def test_every_verb_that_ships_is_registered() -> None:
    """Each has a line of help, and its module is named like the verb."""
    found = dict(commands())
    assert sorted(set(found) & set(VERBS)) == VERBS
    for name in VERBS:
        assert found[name].HELP and "\n" not in found[name].HELP
        assert str(getattr(found[name], "__name__", "")).endswith(f".{name}")


@pytest.mark.usefixtures("other_package")
def test_a_verb_of_another_package_works(capsys: pytest.CaptureFixture[str]) -> None:
    """It has its own options, its exit code is the command's, and the overview lists it."""
    from partway.cli.main import main, overview

    assert main(["peel", "--deep"]) == 7
    assert capsys.readouterr().out == "deep\n"
    assert "peel it" in overview().format_help()


@pytest.mark.usefixtures("other_package")
def test_an_entry_that_is_no_verb_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """Named, it is an error that says what it lacks; in the overview it is left out with a warning."""
    with pytest.raises(InputError, match="'rot' lacks add_arguments, run"):
        command("rot")
    with caplog.at_level(logging.WARNING):
        assert "rot" not in dict(commands())
    assert "lacks add_arguments" in caplog.text
