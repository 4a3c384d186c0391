"""Fetched stages are kept by digest."""

import errno
import hashlib
import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from partway.edge.session.start.stage_cache import StageCache, open_cache
from partway.errors import InputError
from partway.partitioner.plan.plan import Stage, StageFile
from partway.system.cache_dir import default_cache

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


LARGE = bytes(range(256)) * 40
WANTED = StageFile("stage0.onnx.data", hashlib.sha256(LARGE).hexdigest(), len(LARGE))
BOTH = replace(STAGE, data=WANTED)


class FetchInto:
    """Appends what is missing, ``step`` bytes a call before the line breaks; counts the bytes it sent."""

    def __init__(self, body: bytes = LARGE, step: int | None = None) -> None:
        self.body, self.step, self.sent = body, step, 0

    def __call__(self, digest: str, file: BinaryIO, most_bytes: int) -> None:
        assert (digest, most_bytes) == (WANTED.digest, WANTED.size_bytes)
        at = file.seek(0, os.SEEK_END)
        rest = self.body[at:] if self.step is None else self.body[at : at + self.step]
        file.write(rest)
        self.sent += len(rest)
        if self.step is not None and at + len(rest) < len(self.body):
            raise InputError("no cloud answers any more")


def test_a_data_file_is_fetched_once_and_mapped(tmp_path: Path) -> None:
    """Straight to disk, under its digest; nothing else is left."""
    fetch = FetchInto()
    assert bytes(open_cache(tmp_path).data(BOTH, fetch)) == bytes(open_cache(tmp_path).data(BOTH, fetch)) == LARGE
    assert fetch.sent == len(LARGE)
    assert [path.name for path in tmp_path.iterdir()] == [WANTED.digest]


def test_a_download_that_broke_off_goes_on_at_the_next_start(tmp_path: Path) -> None:
    """No byte is fetched twice, however often the line breaks."""
    fetch = FetchInto(step=4000)
    for _ in range(2):
        with pytest.raises(InputError, match="no cloud answers"):
            open_cache(tmp_path).data(BOTH, fetch)
    assert bytes(open_cache(tmp_path).data(BOTH, fetch)) == LARGE
    assert fetch.sent == len(LARGE)


@pytest.mark.parametrize("begun", [LARGE[:-5] + b"wrong", b"wrong" + LARGE[5:100], LARGE + b"more"])
def test_a_damaged_beginning_is_fetched_anew(begun: bytes, tmp_path: Path) -> None:
    """The power went while it was written: what is kept is what the digest promises."""
    (tmp_path / f".part-{WANTED.digest}").write_bytes(begun)
    assert bytes(open_cache(tmp_path).data(BOTH, FetchInto())) == LARGE


def test_a_damaged_data_file_is_fetched_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A turned byte is found before the weights are used."""
    (tmp_path / WANTED.digest).write_bytes(LARGE[:-1] + b"x")
    assert bytes(open_cache(tmp_path).data(BOTH, FetchInto())) == LARGE
    assert "damaged; fetching it again" in caplog.text


def test_other_weights_are_not_believed(tmp_path: Path) -> None:
    """A cloud that sends something else leaves nothing behind that a next start would go on from."""
    with pytest.raises(InputError, match=r"stage0\.onnx\.data that does not match its digest"):
        open_cache(tmp_path).data(BOTH, FetchInto(bytes(len(LARGE))))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_a_link_in_the_cache_is_not_followed(tmp_path: Path) -> None:
    """Somebody else's file is not mapped, and not overwritten."""
    cache = open_cache(tmp_path / "cache")
    (tmp_path / "elsewhere").write_bytes(LARGE)
    (tmp_path / "cache" / WANTED.digest).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"symbolic links.*another folder with --cache"):
        cache.data(BOTH, FetchInto())
    assert (tmp_path / "elsewhere").read_bytes() == LARGE


def test_without_a_folder_a_data_file_lives_as_long_as_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mapped from a file without a name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert bytes(StageCache(None).data(BOTH, FetchInto())) == LARGE
    assert not list(tmp_path.iterdir())


def test_no_room_for_the_weights_is_said(tmp_path: Path) -> None:
    """With the size and what to do."""

    def full(digest: str, file: BinaryIO, most_bytes: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"10\.2 KB\) cannot be stored in .*No space left.*--cache"):
        open_cache(tmp_path).data(BOTH, full)
