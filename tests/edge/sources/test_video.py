"""Frames of videos and cameras: colours, order, and what is said when they end or cannot be opened."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.mnist_plans import PICTURES, TENSORS, mnist_plan
from tests.support.videos import COLOURS

from partway.edge.sources.video import CAMERAS, VIDEO_FILES, check_video, video_items
from partway.errors import InputError

Array = np.ndarray[Any, Any]


class Capture:
    """An OpenCV capture that gives these frames and then no more."""

    def __init__(self, frames: list[Array]) -> None:
        self.frames, self.reads, self.released = list(frames), 0, False
        self.settings: list[tuple[int, int]] = []

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, Array | None]:
        self.reads += 1
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def set(self, name: int, value: int) -> None:
        self.settings.append((name, value))

    def release(self) -> None:
        self.released = True


class OpenCV:
    """A module in the place of cv2, which notes what was opened."""

    CAP_PROP_BUFFERSIZE = 38
    error = RuntimeError
    utils = SimpleNamespace()

    def __init__(self, frames: list[Array]) -> None:
        self.capture, self.opened = Capture(frames), list[int | str]()

    def VideoCapture(self, device: int | str) -> Capture:  # noqa: N802 - OpenCV's name
        self.opened.append(device)
        return self.capture


def opencv(monkeypatch: pytest.MonkeyPatch, *frames: Array) -> OpenCV:
    """OpenCV is replaced by one that gives these frames."""
    made = OpenCV(list(frames))
    monkeypatch.setitem(sys.modules, "cv2", made)
    return made


@pytest.mark.parametrize(
    ("given", "video", "camera"),
    [
        ("a.mp4", True, False),
        ("folder.x/A.MKV", True, False),
        ("a.png", False, False),
        ("mp4", False, False),
        ("camera:0", False, True),
        ("camera:/dev/video2", False, True),
        ("camera", False, False),
        ("a camera:0", False, False),
        ("", False, False),
    ],
)
def test_an_input_is_known_by_its_suffix_or_its_beginning(given: str, video: bool, camera: bool) -> None:
    """Videos are known by their suffix in any case, cameras by ``camera:``."""
    assert (VIDEO_FILES.matches(given), CAMERAS.matches(given)) == (video, camera)


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


def test_a_camera_is_read_until_it_stops_and_then_says_so(video: Path) -> None:
    """A device that gives no more frames, here a file in a camera's place, ends in a frame that tells what to do."""
    *frames, last = video_items(f"camera:{video}", PICTURES)
    assert len(frames) == 5
    with pytest.raises(InputError, match="gave no frame after 5; check that it is still plugged in"):
        last.read()


@pytest.mark.parametrize(
    ("given", "device"), [("camera:2", 2), ("camera:/dev/video2", "/dev/video2"), ("camera:²", "²")]
)
def test_a_camera_gives_its_newest_picture(given: str, device: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera is opened by number or by path, and keeps one picture in its buffer."""
    cv2 = opencv(monkeypatch, np.zeros((28, 28, 3), np.uint8))
    first = next(video_items(given, PICTURES))
    assert first.name == f"{given}[0]"
    assert cv2.opened == [device]
    assert cv2.capture.settings == [(cv2.CAP_PROP_BUFFERSIZE, 1)]


def test_a_frame_is_decoded_when_it_is_asked_for(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No frame is read ahead, and whoever stops half-way lets the device go."""
    cv2 = opencv(monkeypatch, *(np.zeros((4, 4, 3), np.uint8) for _ in range(5)))
    items = video_items(str(video), PICTURES)
    assert cv2.opened == []
    next(items)
    next(items)
    assert (cv2.capture.reads, cv2.capture.released) == (2, False)
    items.close()  # type: ignore[attr-defined]
    assert cv2.capture.released


def test_a_grey_frame_is_a_picture_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cameras give one channel, without an axis for it."""
    opencv(monkeypatch, np.full((28, 28), 77, np.uint8))
    pixels = next(video_items("camera:0", PICTURES)).read().pixels
    assert pixels is not None
    assert (pixels == 77).all()


def test_colours_reach_a_model_of_colour_pictures_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV has blue first; a model's pixels have red first."""
    plan = mnist_plan(fit="stretch", channels=3)
    opencv(monkeypatch, np.full((28, 28, 3), (1, 2, 3), np.uint8))
    pixels = next(video_items("camera:0", plan)).read().pixels
    assert pixels is not None
    assert pixels[5, 5].tolist() == [3, 2, 1]


def test_a_video_without_a_frame_is_one_sentence(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video that opens but holds nothing is not taken for the end of the input."""
    cv2 = opencv(monkeypatch)
    (only,) = video_items(str(video), PICTURES)
    with pytest.raises(InputError, match=r"colours\.avi holds no frame; give another with --input"):
        only.read()
    assert cv2.capture.released


def test_what_is_checked_is_let_go(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking an input opens it and releases it, so that a camera can be opened again."""
    cv2 = opencv(monkeypatch)
    check_video(str(video), PICTURES)
    assert cv2.opened == [str(video)]
    assert cv2.capture.released


def test_a_model_of_tensors_opens_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is looked at before the device is."""
    cv2 = opencv(monkeypatch)
    for attempt in (lambda: check_video("camera:0", TENSORS), lambda: next(video_items("camera:0", TENSORS))):
        with pytest.raises(InputError, match=r"does not take pictures; give its input tensors as an \.npz file"):
            attempt()
    assert cv2.opened == []


@pytest.mark.parametrize("given", ["camera:", "camera:--help"])
def test_a_camera_without_a_name_is_one_sentence(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no number and no device is not handed to OpenCV."""
    cv2 = opencv(monkeypatch)
    with pytest.raises(InputError, match="names no camera; give a number or a device, for example camera:0"):
        check_video(given, PICTURES)
    assert cv2.opened == []
