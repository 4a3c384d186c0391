"""The folder for downloads and prepared plans."""

from pathlib import Path

import pytest

from partway.system.cache_dir import default_cache


def test_the_variable_wins_over_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME where it is set and not empty, else .cache in the home."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_cache() == Path("/cache/partway")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_cache() == Path("/home/somebody/.cache/partway")


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container an unknown user id has no home; that is no error."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert default_cache() is None
