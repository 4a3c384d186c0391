"""Cameras of this machine: how they are named and opened, and what happens when one is unplugged."""

import logging
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tests.support.mnist_plans import PICTURES, TENSORS
from tests.support.opencv import opencv

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.device import open_camera
from partway.edge.sources.cameras.reopening import Unreachable
from partway.edge.sources.shipped import CAMERAS
from partway.errors import InputError

BLACK = np.zeros((28, 28, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "camera"),
    [("a.mp4", False), ("camera:0", True), ("camera:/dev/video2", True), ("camera", False), ("a camera:0", False)],
)
def test_a_camera_is_known_by_its_beginning(given: str, camera: bool) -> None:
    """``camera:`` with a number or a device."""
    assert CAMERAS.matches(given) is camera


@pytest.mark.parametrize(
    ("given", "device"), [("camera:2", 2), ("camera:/dev/video2", "/dev/video2"), ("camera:²", "²")]
)
def test_a_camera_gives_its_newest_picture(given: str, device: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera is opened by number or by path, and keeps one picture in its buffer."""
    cv2 = opencv(monkeypatch, BLACK)
    first = next(open_camera(given, PICTURES))
    assert (first.name, first.read().live) == (f"{given}[0]", True)
    assert cv2.opened == [device]
    assert cv2.capture.settings == [(cv2.CAP_PROP_BUFFERSIZE, 1)]


def test_a_camera_that_stops_is_opened_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Unplugged and plugged in again, it goes on; each loss and return is a line, and frames are numbered through."""
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.001)
    cv2 = opencv(monkeypatch, BLACK, BLACK)
    items = open_camera("camera:0", PICTURES)
    names = [next(items).name, next(items).name]
    cv2.replug(2, BLACK)
    names.append(next(items).name)
    assert names == ["camera:0[0]", "camera:0[1]", "camera:0[2]"]
    lost, back = caplog.messages
    assert lost.startswith("camera:0 is lost after 2 frames (it gives no frame; check that it is still plugged in)")
    assert back.startswith("camera:0 answers after ")
    assert len(cv2.opened) == 4
    items.close()  # type: ignore[attr-defined]
    assert cv2.capture.released


def test_a_camera_that_is_not_there_is_a_sentence_or_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run ends; a service waits, without holding up what else starts."""
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.001)
    cv2 = opencv(monkeypatch)
    cv2.replug(1, BLACK)
    with pytest.raises(Unreachable, match="camera 0 cannot be opened; `ls /dev/video"):
        open_camera("camera:0", PICTURES)
    cv2.replug(3, BLACK, BLACK)
    first, second = islice(open_camera("camera:0", PICTURES, patient=True), 2)
    assert first.late and second.late
    assert [first.read().name, second.read().name] == ["camera:0[0]", "camera:0[1]"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


@pytest.mark.parametrize("given", ["camera:", "camera:--help"])
def test_a_camera_without_a_name_is_one_sentence(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no number and no device is not handed to OpenCV, and no service waits for it."""
    cv2 = opencv(monkeypatch)
    with pytest.raises(InputError, match="names no camera; give a number or a device, for example camera:0"):
        open_camera(given, PICTURES, patient=True)
    assert cv2.opened == []


def test_a_model_of_tensors_opens_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is looked at before the device is."""
    cv2 = opencv(monkeypatch)
    with pytest.raises(InputError, match=r"does not take pictures; give its input tensors as an \.npz file"):
        open_camera("camera:0", TENSORS)
    assert cv2.opened == []


def test_a_file_in_a_cameras_place_is_read_again_and_again(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV itself opens any device by its path; here five frames, then the loss, then the first one again."""
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.001)
    names = [item.read().name for item in islice(open_camera(f"camera:{video}", PICTURES), 7)]
    assert names == [f"camera:{video}[{index}]" for index in range(7)]
