"""Token and key files: read, or a sentence that never quotes them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.system.credentials import read_certificates, read_key, token_of


def file_of(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_the_files_only_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around it is not part of it; a file comes before the environment."""
    monkeypatch.setenv("PARTWAY_TOKEN", "from-the-environment")
    assert token_of(file_of(tmp_path / "t", "abc-123\n")) == "abc-123"
    assert token_of(None) == "from-the-environment"
    monkeypatch.delenv("PARTWAY_TOKEN")
    assert token_of(None) == ""


@pytest.mark.parametrize("text", ["two words", "two\nlines", "caf\u00e9", "a" * 5000, "a\x00b", "line\r\nline"])
def test_what_is_no_token_is_refused_unquoted(text: str, tmp_path: Path) -> None:
    """The sentence names the file and how to make a token, not what was in it."""
    with pytest.raises(InputError) as caught:
        token_of(file_of(tmp_path / "t", text))
    assert str(tmp_path / "t") in str(caught.value)
    assert text not in str(caught.value)


def test_an_empty_token_is_told_from_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or variable that is there and empty is a mistake, not an open door."""
    with pytest.raises(InputError, match=rf"is empty \(it belongs to uid {os.geteuid()}.* mode 0600\); make one with"):
        token_of(file_of(tmp_path / "t", " \n"))
    monkeypatch.setenv("PARTWAY_TOKEN", "")
    with pytest.raises(InputError, match="PARTWAY_TOKEN is empty"):
        token_of(None)


def test_a_secret_that_others_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the mode; it is used all the same."""
    assert token_of(file_of(tmp_path / "t", "abc", 0o644)) == "abc"
    assert [r.getMessage() for r in caplog.records] == [
        f"token file {tmp_path / 't'} has mode 0644: any user of this machine may read it; chmod 600 it"
    ]


def test_what_cannot_be_read_says_who_and_whose(tmp_path: Path) -> None:
    """A missing file, a folder, one without PEM in it."""
    with pytest.raises(InputError, match=rf"no such file or directory\): this process runs as uid {os.geteuid()}"):
        token_of(tmp_path / "a" / "b")
    with pytest.raises(InputError, match="is a folder"):
        token_of(tmp_path)
    with pytest.raises(InputError, match="no certificate in PEM"):
        read_certificates(file_of(tmp_path / "c", "text"), "CA file")
    with pytest.raises(InputError, match="without a passphrase"):
        read_key(file_of(tmp_path / "k", "-----BEGIN ENCRYPTED PRIVATE KEY-----"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_told_apart(tmp_path: Path) -> None:
    """As somebody else: uid, owner and mode of what may not be read, a folder that may not be entered included."""
    file_of(tmp_path / "token", "abc")
    (tmp_path / "closed").mkdir(mode=0o700)
    file_of(tmp_path / "closed" / "token", "abc")
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    program = (
        "import os, sys, pathlib\n"
        "import partway.cloud.models.repository as repository\n"
        "from partway.errors import InputError\n"
        "from partway.system.credentials import token_of\n"
        "from partway.edge.session.start.stage_cache import open_cache\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "os.setgid(65534), os.setuid(65534)\n"
        "for read in (lambda: token_of(root / 'token'), lambda: token_of(root / 'closed' / 'token'),\n"
        "             lambda: repository.plan_folders(root / 'closed'), lambda: open_cache(root / 'closed')):\n"
        "    try:\n        read()\n    except InputError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    file, inside, models, cache = done.stdout.splitlines()
    who = "(permission denied): this process runs as uid 65534, "
    whose = "it belongs to uid 0, gid 0, with mode"
    assert file.startswith(f"token file {tmp_path}/token cannot be read {who}{whose} 0600")
    assert f"{tmp_path}/closed (the last folder on the way that can be seen) belongs to uid 0" in inside
    assert models.startswith(f"models folder {tmp_path}/closed cannot be read {who}{whose} 0700")
    assert cache.startswith(f"cache folder {tmp_path}/closed cannot be written {who}{whose} 0700")
