"""Frames of video files and cameras, through OpenCV, which is imported when one is opened (``partway[video]``)."""

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


def is_camera(given: str) -> bool:
    """Whether an ``--input`` names a camera: ``camera:0``, ``camera:/dev/video2``."""
    return given.startswith(CAMERA)


def check_video(given: str, plan: Plan) -> None:
    """Refuse at once what cannot be opened. Raises InputError."""
    _preprocess(given, plan)
    _opened(given).release()


def video_items(given: str, plan: Plan) -> Iterator[Item]:
    """Frame after frame, RGB, decoded when asked for and fitted to the model when read.

    A camera never ends by itself; one that stops giving frames ends in an item that says so. Raises InputError when it
    cannot be opened.
    """
    preprocess, capture = _preprocess(given, plan), _opened(given)
    live = is_camera(given)
    label = given if live else Path(given).name
    count = 0
    try:
        while True:
            begun_s = perf_counter()
            there, frame = capture.read()
            if not there:
                break
            decoded_s = 0.0 if live else perf_counter() - begun_s  # a camera's next frame is waited for, not decoded
            name = f"{label}[{count}]"
            yield Item(name, partial(_read, name, frame, preprocess, decoded_s, live))
            count += 1
    finally:
        capture.release()
    if live:
        yield Item(label, partial(_stopped, f"{label} gave no frame after {count}; check that it is still plugged in"))
    elif not count:
        yield Item(label, partial(_stopped, f"video {given} holds no frame; give another with --input"))


def _read(name: str, frame: Array, preprocess: Preprocess, decoded_s: float, live: bool) -> Sample:
    begun_s = perf_counter() - decoded_s
    rgb = frame[:, :, ::-1] if frame.ndim == 3 else frame
    return timed(begun_s, sample_of_pixels(name, np.ascontiguousarray(rgb), preprocess), live)


def _stopped(sentence: str) -> Sample:
    raise InputError(sentence)


def _preprocess(given: str, plan: Plan) -> Preprocess:
    preprocess = plan.preprocess
    if preprocess is None:
        raise InputError(
            f"this model does not take pictures; give its input tensors as an .npz file instead of {given}"
        )
    return preprocess


def _opened(given: str) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise InputError(f"{given} needs OpenCV, which is not installed: pip install 'partway[video]'") from error
    if is_camera(given):
        where = given.removeprefix(CAMERA)
        if not where or where.startswith("-"):
            raise InputError(f"{given!r} names no camera; give a number or a device, for example camera:0")
        device: int | str = where if (number := whole_number(where)) is None else number
        why = (
            f"camera {where} cannot be opened; `ls /dev/video*` shows which there are, and another program may hold it"
        )
    else:
        if not Path(given).is_file():
            raise InputError(f"video {given} does not exist or is no file; check the path")
        device, why = given, f"video {given} cannot be opened; it is damaged, or of a kind that this OpenCV cannot read"
    _hush(cv2)
    try:
        capture = cv2.VideoCapture(device)
    except (cv2.error, OverflowError) as error:
        raise InputError(why) from error
    if not capture.isOpened():
        capture.release()
        raise InputError(why)
    if is_camera(given):
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest that still waits
    return capture


def _hush(cv2: Any) -> None:
    """OpenCV and FFmpeg would print lines of their own for what is said in one sentence here."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging = getattr(cv2.utils, "logging", None)
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)


def open_video(given: str, plan: Plan) -> Iterator[Item]:
    """The frames of a video or a camera. Raises InputError at once where it cannot be opened."""
    check_video(given, plan)
    return video_items(given, plan)


CAMERAS = Source(open_video, prefix=CAMERA, endless=True)
VIDEO_FILES = Source(open_video, suffixes=VIDEOS)
