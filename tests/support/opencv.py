"""OpenCV replaced by a module that gives chosen frames."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


class Capture:
    """An OpenCV capture that gives these frames and then no more."""

    def __init__(self, frames: list[Array]) -> None:
        self.frames, self.reads, self.released = list(frames), 0, False
        self.present = True
        self.settings: list[tuple[int, int]] = []

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.present

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
        self.absent_for = 0
        self.next_frames: list[Array] | None = None

    def VideoCapture(self, device: int | str) -> Capture:  # noqa: N802 - OpenCV's name
        self.opened.append(device)
        if self.absent_for:
            self.absent_for -= 1
            absent = Capture([])
            absent.present = False
            return absent
        if self.next_frames is not None:
            self.capture, self.next_frames = Capture(self.next_frames), None
        return self.capture

    def replug(self, absent_for: int, *frames: Array) -> None:
        """The next so many attempts to open the camera fail; then it gives these frames."""
        self.absent_for, self.next_frames = absent_for, list(frames)


def opencv(monkeypatch: pytest.MonkeyPatch, *frames: Array) -> OpenCV:
    """OpenCV is replaced by one that gives these frames."""
    made = OpenCV(list(frames))
    monkeypatch.setitem(sys.modules, "cv2", made)
    return made
