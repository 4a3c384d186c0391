"""Inputs that are no files: videos, cameras, standard input; and how all of them follow one another."""

import io
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from partway.edge.options import options_of
from partway.edge.sources import stdin as stdin_module
from partway.edge.sources.files import open_source
from partway.edge.sources.open_inputs import open_intake
from partway.edge.sources.stdin import parse_shape, stdin_items
from partway.edge.sources.video import video_items
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, load_plan, plan_from_json, plan_to_json
from partway.partitioner.zoo import model_folder

Array = np.ndarray[Any, Any]


def _plan(**change: Any) -> Plan:
    data = plan_to_json(load_plan(model_folder("mnist")))
    return plan_from_json({**data, "input": {**data["input"], **change} if change else {}})


PICTURES, TENSORS = _plan(fit="stretch"), _plan()
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five frames of one colour each, written losslessly enough to tell them apart."""
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once a process, here when the first video is written
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'partway[video]'")
    path = tmp_path / "colours.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for colour in COLOURS:
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


def grey(colour: tuple[int, int, int]) -> int:
    """What Pillow makes of a colour."""
    found = Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))
    assert isinstance(found, int)
    return found


def test_a_videos_frames_come_in_order_and_in_their_colours(video: Path) -> None:
    """Each frame is fitted to the model like a picture; red is red, though OpenCV has it at the other end."""
    samples = [item.read() for item in video_items(str(video), PICTURES)]
    assert [sample.name for sample in samples] == [f"colours.avi[{index}]" for index in range(5)]
    for sample, colour in zip(samples, COLOURS, strict=True):
        assert sample.pixels is not None
        assert sample.pixels.shape == (28, 28, 1)
        assert abs(float(sample.pixels.mean()) - grey(colour)) < 6


def test_a_video_starts_over_when_more_frames_are_wanted(video: Path) -> None:
    """--frames goes round a video as it goes round a folder; without it every frame comes once."""
    intake = open_intake([str(video)], PICTURES)
    assert (intake.count, intake.total(7), len(list(intake.take(None)))) == (None, 7, 5)
    assert [item.name[-3:] for item in intake.take(7)] == ["[0]", "[1]", "[2]", "[3]", "[4]", "[0]", "[1]"]


def test_a_camera_is_read_until_it_stops_and_then_says_so(video: Path) -> None:
    """A device that gives no more frames, here a file in a camera's place, ends in a frame that tells what to do."""
    *frames, last = video_items(f"camera:{video}", PICTURES)
    assert len(frames) == 5
    with pytest.raises(InputError, match="gave no frame after 5; check that it is still plugged in"):
        last.read()


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
        open_intake([given], PICTURES)
    assert capfd.readouterr().err.count("\n") == 0


@pytest.mark.parametrize("given", ["camera:0", "some.mp4"])
def test_without_opencv_the_extra_is_named(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no OpenCV is told which extra brings it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'partway\[video\]'"):
        open_intake([given], PICTURES)


def test_a_model_of_tensors_takes_no_video() -> None:
    """The model's plan decides before OpenCV is looked for."""
    with pytest.raises(InputError, match="does not take pictures"):
        open_intake(["camera:0"], TENSORS)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (40, 30, 3), (9, 9, 4)])
def test_raw_frames_are_read_back_to_back(shape: tuple[int, ...]) -> None:
    """uint8 pictures of the shape given, one after another, in the bytes' own order."""
    frames = [np.full(shape, 255 if shape[-1] == 4 else 40 * index, np.uint8) for index in range(4)]
    items = list(stdin_items(io.BytesIO(b"".join(frame.tobytes() for frame in frames)), PICTURES, shape))
    assert [item.name for item in items] == [f"stdin[{index}]" for index in range(4)]
    for item, frame in zip(items, frames, strict=True):
        pixels = item.read().pixels
        assert pixels is not None
        assert np.abs(pixels.astype(int) - int(frame[0, 0].flat[0])).max() <= 1


def test_a_stream_of_npy_is_read() -> None:
    """Pictures and tensors as numpy.save writes them, C and Fortran order, both format versions."""
    stream = io.BytesIO()
    tensors = [np.arange(784, dtype=np.float32).reshape(1, 28, 28) + index for index in range(3)]
    np.save(stream, tensors[0])
    np.save(stream, np.asfortranarray(tensors[1][None]))
    np.lib.format.write_array(stream, tensors[2], version=(2, 0))
    np.save(stream, np.full((50, 60, 3), 9, np.uint8))
    stream.seek(0)
    *found, picture = [item.read() for item in stdin_items(stream, PICTURES, None)]
    for sample, tensor in zip(found, tensors, strict=True):
        assert sample.values is not None
        np.testing.assert_array_equal(sample.values["image"], tensor[None])
    assert picture.pixels is not None
    assert (picture.pixels == 9).all()


@pytest.mark.parametrize(
    ("data", "shape", "says"),
    [
        (b"x" * 1000, (28, 28), "ended after 216 of a frame's 784 bytes"),
        (b"hello", None, "holds no .npy here"),
        (b"\x93NUMPY\x09\x00aaaa", None, "holds no .npy here"),
    ],
)
def test_a_stream_that_breaks_off_costs_no_other_frame(data: bytes, shape: Any, says: str) -> None:
    """What is no whole frame becomes one last item whose reading says why."""
    *good, last = stdin_items(io.BytesIO(data), PICTURES, shape)
    assert len(good) == (1 if shape else 0)
    with pytest.raises(InputError, match=says):
        last.read()


def test_an_array_that_only_claims_to_be_large_is_refused() -> None:
    """A header alone allocates nothing, and objects are never unpickled."""
    for dtype, shape in (("<f8", (1 << 20, 1 << 20)), ("|O", (1,))):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
        stream.seek(0)
        (item,) = stdin_items(stream, TENSORS, None)
        with pytest.raises(InputError, match="is no frame"):
            item.read()


@settings(max_examples=150, deadline=None)
@given(drawn=st.data())
def test_no_damaged_stream_ends_in_anything_but_a_sentence(drawn: st.DataObject) -> None:
    """Bytes overwritten, cut off or added anywhere: frames are read, or refused with an InputError."""
    file = io.BytesIO()
    np.save(file, np.zeros((1, 28, 28), np.float32))
    body = bytearray(file.getvalue())
    for _ in range(drawn.draw(st.integers(0, 4))):
        body[drawn.draw(st.integers(0, 200))] = drawn.draw(st.integers(0, 255))
    damaged = bytes(body[: drawn.draw(st.integers(0, len(body)))]) + drawn.draw(st.binary(max_size=4))
    for item in islice(stdin_items(io.BytesIO(damaged), PICTURES, None), 5):
        try:
            item.read()
        except InputError as error:
            assert "stdin[" in str(error)


@pytest.mark.parametrize("text", ["480x640x3", "28x28"])
def test_shapes_are_read(text: str) -> None:
    """Height, width and, where there are several, channels."""
    assert "x".join(map(str, parse_shape(text))) == text


@pytest.mark.parametrize("text", ["", "480", "0x5", "480x640x2", "axb", "99999x99999x3", "-1x5"])
def test_shapes_that_cannot_be_are_refused(text: str) -> None:
    """The sentence gives an example."""
    with pytest.raises(InputError, match="for example 480x640x3"):
        parse_shape(text)


@pytest.mark.parametrize(
    ("inputs", "shape", "says"),
    [
        (["camera:0", "a.png"], None, "never ends"),
        (["camera:0", "camera:1"], None, "never ends"),
        (["-", "-"], None, "can be read once"),
        (["a.png"], (28, 28), "give --input - with it"),
    ],
)
def test_inputs_that_cannot_follow_one_another_are_refused(inputs: list[str], shape: Any, says: str) -> None:
    """Nothing comes after a camera, and standard input comes once."""
    with pytest.raises(InputError, match=says):
        open_intake(inputs, PICTURES, shape)


def test_files_and_streams_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, then standard input: how many there are is open, and there is no second round."""
    for name in ("a.png", "b.png"):
        Image.new("L", (28, 28), 5).save(tmp_path / name)

    class Stdin:
        buffer = io.BytesIO(bytes(784 * 2))

    monkeypatch.setattr(stdin_module.sys, "stdin", Stdin)
    intake = open_intake([str(tmp_path), "-"], PICTURES, (28, 28))
    assert (intake.count, intake.again, intake.waits) == (None, False, True)
    assert [item.name for item in intake.take(9)] == ["a.png", "b.png", "stdin[0]", "stdin[1]"]


def test_the_command_line_takes_a_shape() -> None:
    """--stdin-shape reaches the options."""
    from partway.edge.main import parser

    args = parser().parse_args(["--model", "mnist", "--input", "-", "--stdin-shape", "4x5"])
    assert options_of(args).stdin_shape == (4, 5)


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
