"""Frames of videos: colours, order, and what is said when they end or cannot be opened."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.mnist_plans import PICTURES, TENSORS, mnist_plan
from tests.support.opencv import opencv
from tests.support.videos import COLOURS

from partway.edge.sources.shipped import VIDEO_FILES
from partway.edge.sources.video import open_video, sample_of_frame, video_items
from partway.errors import InputError, MissingPackage


@pytest.mark.parametrize(
    ("given", "video"), [("a.mp4", True), ("folder.x/A.MKV", True), ("a.png", False), ("mp4", False), ("", False)]
)
def test_a_video_is_known_by_its_suffix(given: str, video: bool) -> None:
    """In any case of letters."""
    assert VIDEO_FILES.matches(given) is video


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


def test_a_grey_frame_is_a_picture_too() -> None:
    """Some cameras give one channel, without an axis for it."""
    assert PICTURES.preprocess is not None
    pixels = sample_of_frame("a", np.full((28, 28), 77, np.uint8), PICTURES.preprocess).pixels
    assert pixels is not None
    assert (pixels == 77).all()


def test_colours_reach_a_model_of_colour_pictures_in_its_order() -> None:
    """OpenCV has blue first; a model's pixels have red first."""
    preprocess = mnist_plan(fit="stretch", channels=3).preprocess
    assert preprocess is not None
    pixels = sample_of_frame("a", np.full((28, 28, 3), (1, 2, 3), np.uint8), preprocess).pixels
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
    """Opening an input checks it and releases it at once."""
    cv2 = opencv(monkeypatch)
    open_video(str(video), PICTURES)
    assert cv2.opened == [str(video)]
    assert cv2.capture.released


def test_a_model_of_tensors_opens_no_video(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is looked at before the file is."""
    cv2 = opencv(monkeypatch)
    with pytest.raises(InputError, match=r"does not take pictures; give its input tensors as an \.npz file"):
        open_video(str(video), TENSORS)
    assert cv2.opened == []


def test_without_opencv_a_sentence_says_what_to_install(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slim install has no OpenCV."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPackage, match=r"needs OpenCV, which is not installed: pip install 'partway\[video\]'"):
        open_video(str(video), PICTURES)
