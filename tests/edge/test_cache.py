"""Fetched stages are kept by digest."""

import hashlib
import logging
from pathlib import Path

import pytest

from partway.edge.cache import StageCache, default_cache, open_cache
from partway.partitioner.plan import Stage
from partway.proto.errors import InputError

BODY = b"a stage"
STAGE = Stage("stage0.onnx", hashlib.sha256(BODY).hexdigest(), len(BODY), (), (), 1)


class Fetch:
    """Hands out the stage and counts how often."""

    def __init__(self, body: bytes = BODY) -> None:
        self.body, self.asked = body, 0

    def __call__(self, digest: str) -> bytes:
        assert digest == STAGE.digest
        self.asked += 1
        return self.body


def test_a_stage_is_fetched_once(tmp_path: Path) -> None:
    """The second reading comes from the folder, where the file is named by its digest and nothing else is left."""
    fetch = Fetch()
    assert open_cache(tmp_path).read(STAGE, fetch) == open_cache(tmp_path).read(STAGE, fetch) == BODY
    assert fetch.asked == 1
    assert [path.name for path in tmp_path.iterdir()] == [STAGE.digest]


def test_a_damaged_stage_is_fetched_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that does not match its name is replaced, and that is said."""
    fetch = Fetch()
    (tmp_path / STAGE.digest).write_bytes(b"damaged")
    assert open_cache(tmp_path).read(STAGE, fetch) == BODY
    assert fetch.asked == 1
    assert (tmp_path / STAGE.digest).read_bytes() == BODY
    assert "damaged; fetching it again" in caplog.text


def test_a_cloud_that_sends_something_else_is_not_believed(tmp_path: Path) -> None:
    """What does not match its digest is neither used nor kept."""
    with pytest.raises(InputError, match=r"stage0\.onnx that does not match its digest"):
        open_cache(tmp_path).read(STAGE, Fetch(b"evil"))
    assert not list(tmp_path.iterdir())


def test_without_a_folder_nothing_is_kept() -> None:
    """A cache of nothing fetches every time."""
    fetch = Fetch()
    cache = StageCache(None)
    assert cache.read(STAGE, fetch) == cache.read(STAGE, fetch) == BODY
    assert fetch.asked == 2


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """The folder asked for may not exist yet."""
    open_cache(tmp_path / "a" / "b").read(STAGE, Fetch())
    assert (tmp_path / "a" / "b" / STAGE.digest).is_file()


def test_a_folder_asked_for_must_be_writable(tmp_path: Path) -> None:
    """A file in its place is refused, with the option to change."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written .* --cache"):
        open_cache(tmp_path / "file")


def test_the_default_folder_may_be_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only home costs a warning, not the run."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert open_cache(None).read(STAGE, Fetch()) == BODY
    assert "kept in memory only" in caplog.text


def test_a_user_without_a_home_is_served(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """In a container with a made-up user there is no home, and no reason to stop."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert default_cache() is None
    assert open_cache(None).read(STAGE, Fetch()) == BODY
    assert "no home" in caplog.text


def test_the_default_follows_the_desktop_standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME where it is set, else .cache in the home."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "partway"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "partway"


def test_a_disk_that_fills_up_costs_only_the_keeping(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A stage that cannot be kept is used all the same, and leaves nothing half written."""
    cache = open_cache(tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    with caplog.at_level(logging.WARNING):
        assert cache.read(STAGE, Fetch()) == BODY
    assert "will be fetched again next time" in caplog.text
    assert not list(tmp_path.iterdir())
