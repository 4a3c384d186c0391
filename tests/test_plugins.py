"""Extension points: names, what ships first, and packages that fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.plugins import Registry, did_you_mean


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip installs it: a module and its entry points."""
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[partway.toys]\nten = toy:TEN\nbroken = toy_that_fails:X\n")
    (tmp_path / "toy.py").write_text("TEN = 10\n")
    (tmp_path / "toy_that_fails.py").write_text("raise RuntimeError('no such card')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("toy", None)


def test_an_entry_of_another_package_is_found_by_name(installed):
    """What pip installed is there, imported when it is asked for."""
    assert Registry[int]("partway.toys", "toy").get("ten") == 10


def test_an_unknown_name_is_refused_with_a_suggestion(installed):
    """The sentence names the kind, the nearest name and all that is known."""
    with pytest.raises(InputError, match=r"unknown toy 'tem'; did you mean 'ten'\? known: ten, broken"):
        Registry[int]("partway.toys", "toy").get("tem")


def test_a_package_that_cannot_be_imported_is_named(installed, caplog):
    """Asked for by name it is an error; in a list of all it is left out with a warning."""
    registry = Registry[int]("partway.toys", "toy")
    with pytest.raises(InputError, match=r"the toy 'broken' of toy cannot be loaded \(RuntimeError: no such card\)"):
        registry.get("broken")
    assert list(registry) == [10]
    assert "no such card" in caplog.text


def test_suggestions_are_made_only_for_close_names():
    """A far name gives no suggestion."""
    assert did_you_mean("latncy", ["latency", "bytes"]) == "; did you mean 'latency'?"
    assert did_you_mean("xyz", ["latency", "bytes"]) == ""
