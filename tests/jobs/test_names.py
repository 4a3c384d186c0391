"""Foreign names in real runs: files and models whose names hold control characters or are not UTF-8."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from tests.support.processes import program, write_tiny_model

NAMES = [b"\x1b]0;owned\x07.png", b"new\nline.png", b"bad\xff.png", "bidi\u202egnp.png".encode(), "café.png".encode()]
SHOWN = [r"\x1b]0;owned\x07.png", r"bad\xff.png", r"bidi\u202egnp.png", "café.png", r"new\nline.png"]


def run(*words: "str | bytes", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end."""
    return subprocess.run(words, capture_output=True, env={**os.environ, **environment}, timeout=120, check=False)


def pictures(folder: Path) -> Path:
    """A picture under each name, and one that is none."""
    folder.mkdir()
    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118, PTH123 - bytes
            Image.new("L", (28, 28), 9).save(file, "PNG")
    (folder / "broken\x1b[2J.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_names_of_pictures_cannot_control_the_terminal(locale: str, tmp_path: Path) -> None:
    """Each frame is one line and each error one sentence, in any locale."""
    folder = pictures(tmp_path / "in")
    ran = run(program("edge-run"), "--model", "mnist", "--cloud", "none", "--input", str(folder), LC_ALL=locale)
    out, err = ran.stdout.decode(), ran.stderr.decode()
    assert ran.returncode == 2
    assert [line.split("  ")[0] for line in out.splitlines() if "device  " in line and ".png" in line] == SHOWN
    assert (
        err
        == f"edge-run: picture {folder}/broken\\x1b[2J.png cannot be read (Pillow cannot read it); replace or remove it\n"
    )
    assert not set("\x1b\x07\u202e") & set(out + err)


def test_json_holds_only_text_that_every_parser_takes(tmp_path: Path) -> None:
    """Control characters are JSON's own escapes; a byte that is not UTF-8 is written out."""
    folder = pictures(tmp_path / "in")
    ran = run(program("edge-run"), "--model", "mnist", "--cloud", "none", "--input", str(folder), "--json", "-")
    made = json.loads(ran.stdout.decode("utf-8", "strict"))
    json.dumps(made, ensure_ascii=False).encode()
    assert r"bad\xff.png" in [frame["name"] for frame in made["frames"]]
    assert "new\nline.png" in [frame["name"] for frame in made["frames"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"m\xff\x1b[2J", "m\u202e\nx".encode()])
def test_names_of_models_reach_the_cloud_and_back(name: bytes, tmp_path: Path) -> None:
    """A model file of such a name is sliced, served, split and verified."""
    write_tiny_model(tmp_path / "model.onnx")
    path = os.path.join(os.fsencode(tmp_path), name + b".onnx")  # noqa: PTH118 - bytes
    os.rename(tmp_path / "model.onnx", path)  # noqa: PTH104
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = run(program("edge-run"), "--model", path, "--cloud", "embedded", "--split", "cloud", **cache)
    assert ran.returncode == 0, ran.stderr
    sliced = run(program("partway"), "slice", path, "--out", str(tmp_path / "out"), **cache)
    verified = run(program("partway"), "verify", str(tmp_path / "out"), **cache)
    assert (sliced.returncode, verified.returncode) == (0, 0)
    printed = b"".join(each for done in (ran, sliced, verified) for each in (done.stdout, done.stderr)).decode()
    assert not set("\x1b\u202e") & set(printed)
