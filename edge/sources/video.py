"""Frames of video files and cameras. OpenCV (``partway[video]``) is imported only when one is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.sources.files import Item, Sample, sample_of_pixels, timed
from partway.edge.sources.source import Source
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.units import whole_number

Array = np.ndarray[Any, Any]
VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mjpeg", ".wmv", ".flv", ".ts")
CAMERA = "camera:"


def is_camera(text: str) -> bool:
    """Whether an ``--input`` names a camera: ``camera:0``, ``camera:/dev/video2``."""
    return text.startswith(CAMERA)


def check_video(text: str, plan: Plan) -> None:
    """Raise InputError at once if the video or camera cannot be opened."""
    _preprocess(text, plan)
    _open_capture(text).release()


def video_items(text: str, plan: Plan) -> Iterator[Item]:
    """Yield RGB frames, decoded on demand and scaled to the model's input when read.

    A camera has no end; if it stops, the last item's ``read`` raises InputError. Raises InputError if opening fails.
    """
    preprocess, capture = _preprocess(text, plan), _open_capture(text)
    live = is_camera(text)
    label = text if live else Path(text).name
    count = 0
    try:
        while True:
            begun_s = perf_counter()
            captured, frame = capture.read()
            if not captured:
                break
            decoded_s = 0.0 if live else perf_counter() - begun_s  # for a camera this is waiting, not decoding
            name = f"{label}[{count}]"
            yield Item(name, partial(_read, name, frame, preprocess, decoded_s, live))
            count += 1
    finally:
        capture.release()
    if live:
        yield Item(label, partial(_stopped, f"{label} gave no frame after {count}; check that it is still plugged in"))
    elif not count:
        yield Item(label, partial(_stopped, f"video {text} holds no frame; give another with --input"))


def _read(name: str, frame: Array, preprocess: Preprocess, decoded_s: float, live: bool) -> Sample:
    begun_s = perf_counter() - decoded_s
    rgb = frame[:, :, ::-1] if frame.ndim == 3 else frame
    return timed(begun_s, sample_of_pixels(name, np.ascontiguousarray(rgb), preprocess), live)


def _stopped(sentence: str) -> Sample:
    raise InputError(sentence)


def _preprocess(text: str, plan: Plan) -> Preprocess:
    preprocess = plan.preprocess
    if preprocess is None:
        raise InputError(f"this model does not take pictures; give its input tensors as an .npz file instead of {text}")
    return preprocess


def _open_capture(text: str) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise InputError(f"{text} needs OpenCV, which is not installed: pip install 'partway[video]'") from error
    if is_camera(text):
        name = text.removeprefix(CAMERA)
        if not name or name.startswith("-"):
            raise InputError(f"{text!r} names no camera; give a number or a device, for example camera:0")
        device: int | str = name if (number := whole_number(name)) is None else number
        why = (
            f"camera {name} cannot be opened; `ls /dev/video*` lists the cameras, and another program may use this one"
        )
    else:
        if not Path(text).is_file():
            raise InputError(f"video {text} does not exist or is not a file; check the path")
        device, why = text, f"video {text} cannot be opened; it is damaged, or of a kind that this OpenCV cannot read"
    _silence(cv2)
    try:
        capture = cv2.VideoCapture(device)
    except (cv2.error, OverflowError) as error:
        raise InputError(why) from error
    if not capture.isOpened():
        capture.release()
        raise InputError(why)
    if is_camera(text):
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # so that each read returns the newest picture
    return capture


def _silence(cv2: Any) -> None:
    """Stop OpenCV and FFmpeg from printing their own messages; our error says it in one sentence."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging = getattr(cv2.utils, "logging", None)
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)


def open_video(text: str, plan: Plan) -> Iterator[Item]:
    """The frames of a video or a camera. Raises InputError at once if it cannot be opened."""
    check_video(text, plan)
    return video_items(text, plan)


CAMERAS = Source(open_video, prefix=CAMERA, endless=True)
VIDEO_FILES = Source(open_video, suffixes=VIDEOS)
