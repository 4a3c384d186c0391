"""A short video whose frames can be told apart by their colour."""

from pathlib import Path

import numpy as np
import pytest

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]
"""Of the frames, as RGB."""


def write_video(path: Path) -> Path:
    """One frame of 64 x 48 for each of COLOURS, written losslessly enough to tell them apart. Needs OpenCV."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'partway[video]'")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for colour in COLOURS:
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path
