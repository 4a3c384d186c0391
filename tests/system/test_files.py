"""Sentences about files: whose they are, and who could not read them."""

from __future__ import annotations

import os
from pathlib import Path

from partway.system.files import described, in_memory, unreadable


def test_a_file_in_memory_can_be_read_back() -> None:
    """It has a descriptor, which others open by their own path to it, and lies in no folder."""
    with in_memory("stage") as file:
        file.write(b"content")
        file.flush()
        assert Path(f"/proc/self/fd/{file.fileno()}").read_bytes() == b"content"


def test_owner_and_mode_are_named(tmp_path: Path) -> None:
    """Of the file itself where it can be seen."""
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o640)
    assert described(file) == f"it belongs to uid {os.getuid()}, gid {os.getgid()}, with mode 0640"


def test_of_a_missing_file_the_last_folder_is_named(tmp_path: Path) -> None:
    """A path that ends early says how far it can be followed."""
    sentence = described(tmp_path / "none" / "file")
    assert sentence.startswith(f"{tmp_path} (the last folder on the way that can be seen) belongs to uid")


def test_the_sentence_names_this_process(tmp_path: Path) -> None:
    """What cannot be done, why, and as whom this process runs."""
    path = tmp_path / "file"
    error = PermissionError(13, "Permission denied")
    for may, past in (("read", "read"), ("write", "written")):
        sentence = unreadable(path, error, may)
        assert sentence.startswith(f"{path} cannot be {past} (permission denied): this process runs as uid")
        assert f"uid {os.geteuid()}," in sentence
