"""Files of frames: outputs and drawn pictures, their names, and disks that cannot take them."""

import io
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.report import saved_files
from partway.edge.report.saved_files import SavedFiles, file_stem, make_folder, started_prefix
from partway.errors import InputError
from partway.tasks.classify import Classes, Classify
from partway.tasks.tensors import RawTensors, Tensors

TASK = Classify("y")
PICTURE = np.full((30, 40, 3), 90, np.uint8)


def result_of(name: str = "a.png", index: int = 0, **change: Any) -> FrameResult:
    """A frame with an output, a class and a picture."""
    known: dict[str, Any] = {"outputs": {"y": np.array([[0.25, 0.75]], np.float32)}, "picture": PICTURE}
    known |= {"answer": Classes((("seven", 1, 0.75),)), "answered_by": "cloud"}
    return FrameResult(index, name, 1, "raw", 1, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, **(known | change))


def test_outputs_and_pictures_are_written_under_the_names_in_the_result(tmp_path: Path) -> None:
    """The .npz holds every output by its name; the picture has something drawn on it."""
    outputs = {"a/b": np.arange(3), "file": np.float32(2.5), "y": np.zeros((1, 2), np.float16)}
    with SavedFiles(tmp_path, tmp_path, TASK) as files:
        named = files.add(result_of(outputs=outputs))
    assert named.picture is None
    assert named.files == {name: str(tmp_path / f"000000_a{suffix}") for name, suffix in
                           (("outputs_file", ".npz"), ("picture_file", ".jpg"))}  # fmt: skip
    with np.load(named.files["outputs_file"], allow_pickle=False) as saved:
        assert set(saved.files) == set(outputs)
        for name, array in outputs.items():
            np.testing.assert_array_equal(saved[name], array)
            assert saved[name].dtype == np.asarray(array).dtype
    with Image.open(named.files["picture_file"]) as drawn:
        assert (drawn.size, drawn.format) == ((40, 30), "JPEG")
        assert np.asarray(drawn).max() > 150
    assert len(list(tmp_path.iterdir())) == 2, "no partial file remains"


def test_json_names_the_files_in_place_of_the_values(tmp_path: Path) -> None:
    """Types and shapes of tensors stay; other answers stay whole."""
    outputs = {"y": np.zeros((1, 2), np.float32)}
    with SavedFiles(tmp_path, None, RawTensors()) as files:
        made = files.add(result_of(answer=Tensors(outputs), outputs=outputs)).to_json()
        other = files.add(result_of()).to_json()
    assert made["outputs"] == {"y": {"dtype": "float32", "shape": [1, 2]}}
    assert Path(made["outputs_file"]).is_file()
    assert other["top"] == [{"label": "seven", "index": 1, "probability": 0.75}]
    assert "outputs_file" in other
    assert "data" in result_of(answer=Tensors(outputs)).to_json()["outputs"]["y"]


def test_pictures_are_read_again_upright_from_their_path(tmp_path: Path) -> None:
    """A photograph on its side is drawn as people see it, because boxes are in those pixels."""
    photograph = tmp_path / "side.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 20), "red").save(photograph, exif=exif)
    with SavedFiles(None, tmp_path / "out", TASK) as files:
        (tmp_path / "out").mkdir()
        named = files.add(result_of("side.jpg", picture=photograph))
    with Image.open(named.files["picture_file"]) as drawn:
        assert drawn.size == (20, 60)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
def test_arrays_of_any_channels_are_drawn_on(shape: tuple[int, ...], tmp_path: Path) -> None:
    """As a camera, a pipe or an IDX file gives them."""
    with SavedFiles(None, tmp_path, TASK) as files:
        named = files.add(result_of(picture=np.zeros(shape, np.uint8)))
    with Image.open(named.files["picture_file"]) as drawn:
        assert drawn.size == (30, 20)


def test_frames_without_an_answer_or_a_picture_have_no_such_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no picture is told once; what nobody answered has neither file."""
    with SavedFiles(tmp_path, tmp_path, TASK) as files, caplog.at_level(logging.WARNING):
        assert files.add(result_of(answered_by=NOBODY, outputs={}, answer=None)).files == {}
        for index in range(3):
            assert set(files.add(result_of(index=index, picture=None)).files) == {"outputs_file"}
    (warning,) = caplog.messages
    assert "a.png is no picture" in warning


@given(st.text(max_size=80), st.integers(0, 10**7))
def test_names_are_safe_and_tell_the_frame(name: str, index: int) -> None:
    """Whatever a file or camera is called: one plain file name, short, that begins with the frame's number."""
    stem = file_stem(result_of(name, index))
    assert stem.startswith(f"{index:06d}")
    assert re.fullmatch(r"[\w.-]+", stem)
    assert len(stem) <= 49
    assert not stem.endswith((".", "_"))
    stem.encode()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd", "000000_passwd"),
        ("camera:/dev/video0[3]", "000000_video0_3"),
        ("\x1b[31mred\n.png", "000000_31mred"),
        ("..", "000000"),
        ("über.png", "000000_über"),
        ("\udcff.png", "000000"),
        ("digits.npz[3]", "000000_digits.npz_3"),
        ("v1.2 final.jpeg", "000000_v1.2_final"),
    ],
)
def test_odd_names_become_plain_ones(name: str, stem: str) -> None:
    """No folder, no control character, no leading dot; the suffix goes, because the file has its own."""
    assert file_stem(result_of(name)) == stem


def test_no_input_is_overwritten(tmp_path: Path) -> None:
    """A file that an earlier run drew may be an input of this one."""
    taken = tmp_path / "000000_a.jpg"
    taken.write_bytes(b"an input")
    with SavedFiles(None, tmp_path, TASK, [str(taken)]) as files:
        named = files.add(result_of())
    assert taken.read_bytes() == b"an input"
    assert Path(named.files["picture_file"]).name == "_000000_a.jpg"


def test_a_folder_that_cannot_be_written_or_is_an_input_is_refused(tmp_path: Path) -> None:
    """In one sentence, before the run. A watched folder would otherwise feed on its own pictures."""
    (tmp_path / "file").write_text("")
    for folder, inputs in ((tmp_path / "file", []), (tmp_path, [str(tmp_path)]), (tmp_path, [f"watch:{tmp_path}/"])):
        with pytest.raises(InputError, match="give another folder"):
            make_folder("--save-pictures", folder, inputs)
    make_folder("--save-pictures", tmp_path / "new" / "folder", [str(tmp_path), "a.png", "camera:0"])
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on; when writing works again and fails again, that is told again."""
    folder = tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        for there in (False, True, False):
            folder.mkdir() if there else None
            with SavedFiles(folder, None, TASK) as files:
                for index in range(3):
                    files.add(result_of(index=index))
            for file in folder.glob("*"):
                file.unlink()
            folder.rmdir() if there else None
    assert len(caplog.messages) == 2
    assert all("the run goes on without" in message for message in caplog.messages)


def test_a_full_disk_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning says why; the file that fits again is written."""
    full = [True]
    write = Path.write_bytes

    def write_bytes(path: Path, data: Any) -> int:
        if full:
            full.clear()
            write(path, data[:5])
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with SavedFiles(tmp_path, None, TASK) as files:
        files.add(result_of(index=0))
        files.add(result_of(index=1))
    assert [path.name for path in tmp_path.iterdir()] == ["000001_a.npz"]
    assert "No space left on device" in caplog.text


def test_what_cannot_be_drawn_costs_no_other_frame(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A picture that has gone, one that is damaged, one that is too large: a warning, and the thread lives on."""
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no picture")
    (tmp_path / "out").mkdir()
    with SavedFiles(None, tmp_path / "out", TASK) as files:
        for index, picture in enumerate((tmp_path / "gone.png", damaged, PICTURE)):
            files.add(result_of(index=index, picture=picture))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["000002_a.jpg"]
    assert len(caplog.messages) == 1


def test_a_picture_of_many_megapixels_is_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its RGB would not fit into the memory of a small device."""
    monkeypatch.setattr(saved_files, "MOST_PIXELS", 100)
    Image.new("L", (20, 20)).save(tmp_path / "big.png")
    with SavedFiles(None, tmp_path, TASK) as files:
        files.add(result_of(picture=tmp_path / "big.png"))
    assert "20 x 20 pixels are too many to draw on" in caplog.text


def test_arrays_of_objects_are_never_pickled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are refused with a warning."""
    with SavedFiles(tmp_path, None, TASK) as files:
        files.add(result_of(outputs={"y": np.array([io], dtype=object)}))
    assert list(tmp_path.iterdir()) == []
    assert "is not written" in caplog.text


def test_a_service_that_starts_again_has_other_names() -> None:
    """Its frames begin at 0 each time, so the names begin with the time."""
    assert re.fullmatch(r"\d{8}T\d{6}Z_", started_prefix())
    assert file_stem(result_of(), "20260101T000000Z_") == "20260101T000000Z_000000_a"
