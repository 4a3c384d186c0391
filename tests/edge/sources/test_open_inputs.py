"""Inputs that are no files: videos, cameras, standard input; and how all of them follow one another."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.mnist_plans import PICTURES, TENSORS

from partway.edge.options import options_of
from partway.edge.sources import stdin as stdin_module
from partway.edge.sources.files import open_source
from partway.edge.sources.open_inputs import open_inputs
from partway.edge.sources.source import SourceSettings
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

Array = np.ndarray[Any, Any]


def test_a_video_starts_over_when_more_frames_are_wanted(video: Path) -> None:
    """--frames goes round a video as it goes round a folder; without it every frame comes once."""
    part = open_inputs([str(video)], PICTURES)
    assert (part.count, part.total(7), len(list(part.take(None)))) == (None, 7, 5)
    assert [item.name[-3:] for item in part.take(7)] == ["[0]", "[1]", "[2]", "[3]", "[4]", "[0]", "[1]"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("camera:97", "camera 97 cannot be opened"),
        ("camera:", "names no camera"),
        ("camera:99999999999999999999", "cannot be opened"),
        ("nowhere.mp4", "does not exist"),
        ("damaged.mp4", "is damaged, or of a kind"),
        ("empty.avi", "is damaged, or of a kind"),
    ],
)
def test_what_cannot_be_opened_is_said_at_once(
    given: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A missing or damaged video and a camera that is not there are one sentence each, and OpenCV adds none."""
    pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'partway[video]'")
    monkeypatch.chdir(tmp_path)
    Path("damaged.mp4").write_bytes(bytes(range(256)) * 40)
    Path("empty.avi").write_bytes(b"")
    with pytest.raises(InputError, match=says):
        open_inputs([given], PICTURES)
    assert capfd.readouterr().err.count("\n") == 0


@pytest.mark.parametrize("given", ["camera:0", "some.mp4"])
def test_without_opencv_the_extra_is_named(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no OpenCV is told which extra brings it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'partway\[video\]'"):
        open_inputs([given], PICTURES)


def test_a_model_of_tensors_takes_no_video() -> None:
    """The model's plan decides before OpenCV is looked for."""
    with pytest.raises(InputError, match="does not take pictures"):
        open_inputs(["camera:0"], TENSORS)


@pytest.mark.parametrize(
    ("inputs", "shape", "says"),
    [
        (["camera:0", "a.png"], None, "never ends"),
        (["camera:0", "camera:1"], None, "never ends"),
        (["-", "-"], None, "can be read once"),
        (["a.png"], (28, 28), "give --input - as well"),
    ],
)
def test_inputs_that_cannot_follow_one_another_are_refused(inputs: list[str], shape: Any, says: str) -> None:
    """Nothing comes after a camera, and standard input comes once."""
    with pytest.raises(InputError, match=says):
        open_inputs(inputs, PICTURES, SourceSettings(stdin_shape=shape))


def test_files_and_streams_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, then standard input: how many there are is open, and there is no second round."""
    for name in ("a.png", "b.png"):
        Image.new("L", (28, 28), 5).save(tmp_path / name)

    class Stdin:
        buffer = io.BytesIO(bytes(784 * 2))

    monkeypatch.setattr(stdin_module.sys, "stdin", Stdin)
    part = open_inputs([str(tmp_path), "-"], PICTURES, SourceSettings(stdin_shape=(28, 28)))
    assert (part.count, part.repeatable, part.live) == (None, False, True)
    assert [item.name for item in part.take(9)] == ["a.png", "b.png", "stdin[0]", "stdin[1]"]


def test_the_command_line_takes_a_shape() -> None:
    """--stdin-shape reaches the options."""
    from partway.edge.main import parser

    args = parser().parse_args(["--model", "mnist", "--input", "-", "--stdin-shape", "4x5"])
    assert options_of(vars(args)).stdin_shape == (4, 5)


def test_edge_run_reads_digits_from_a_pipe() -> None:
    """Raw pictures on standard input are answered like the files they came from; half a frame is told, with exit 2."""
    files = sorted((model_folder("mnist") / "samples").glob("*-nib-chalk.png"))
    preprocess_plan = load_plan(model_folder("mnist"))
    pixels = [item.read().pixels for item in open_source([str(file) for file in files], preprocess_plan)]
    raw = b"".join(p.tobytes() for p in pixels if p is not None)
    command = [sys.executable, "-m", "partway.edge", "--model", "mnist", "--cloud", "none", "--json", "-"]
    command += ["--input", "-", "--stdin-shape", "28x28"]
    done = subprocess.run(command, input=raw + b"xx", capture_output=True, timeout=60, check=False, env=os.environ)
    frames = json.loads(done.stdout)["frames"]
    assert [frame["top"][0]["label"] for frame in frames] == [file.name[0] for file in files]
    assert done.returncode == 2
    assert b"ended after 2 of a frame's 784 bytes" in done.stderr
