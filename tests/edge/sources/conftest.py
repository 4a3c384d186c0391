"""Fixtures of the sources' tests."""

from pathlib import Path

import pytest
from tests.support.videos import write_video


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five frames of one colour each."""
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once a process, here when the first video is written
    return write_video(tmp_path / "colours.avi")
