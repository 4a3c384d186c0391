"""Files of a folder are replaced together or not at all."""

import errno
import os
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.system.staging import staged


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_arrive_together_and_others_stay(tmp_path: Path) -> None:
    """Replaced, added, removed as stale; a file of nobody's business stays, and nothing hidden remains."""
    for name in ("plan.json", "stage1", "notes.txt"):
        (tmp_path / name).write_text("old")
    with staged(tmp_path, "plan.json", lambda part: ["stage1", "missing", "plan.json"]) as part:
        (part / "plan.json").write_text("new")
        (part / "stage0").write_text("new")
        assert contents_of_files(tmp_path) == {"plan.json": "old", "stage1": "old", "notes.txt": "old"}
    assert contents(tmp_path) == {"plan.json": "new", "stage0": "new", "notes.txt": "old"}


def contents_of_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("no model"), SystemExit(2)])
def test_an_error_leaves_the_folder_as_it_was(error: BaseException, tmp_path: Path) -> None:
    """Folders made for it are removed too, the outer ones included."""
    (tmp_path / "plan.json").write_text("old")
    for out in (tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(type(error)), staged(out) as part:
            (part / "plan.json").write_text("new")
            raise error
    assert contents(tmp_path) == {"plan.json": "old"}


def test_an_error_while_files_move_takes_them_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two moves: the old files are there again."""
    for name in ("a", "plan.json"):
        (tmp_path / name).write_text("old")
    replace = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        if target == tmp_path / "plan.json" and self.read_text() == "new":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path, "plan.json") as part:
        for name in ("a", "b", "plan.json"):
            (part / name).write_text("new")
    assert contents(tmp_path) == {"a": "old", "plan.json": "old"}


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """And nothing is left of the attempt."""
    out = tmp_path / "plan"
    with pytest.raises(InputError, match="free some space"), staged(out) as part:
        (part / "stage0").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not out.exists()


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    """An unreadable input is not the folder's fault."""
    with pytest.raises(FileNotFoundError), staged(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "no such picture")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "plan"):
        with pytest.raises(InputError, match="give another --out"), staged(out):
            pass


def test_where_files_cannot_be_linked_they_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and some network file systems have no hard links."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refused)
    (tmp_path / "a").write_text("old")
    with staged(tmp_path) as part:
        (part / "a").write_text("new")
    assert contents(tmp_path) == {"a": "new"}
