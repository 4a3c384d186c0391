"""Frames of video files. OpenCV (``partway[video]``) is imported only when a video or a camera is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.sources.files import Item, Sample, sample_of_pixels, timed
from partway.errors import InputError, MissingPackage
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess

Array = np.ndarray[Any, Any]


def video_items(text: str, plan: Plan) -> Iterator[Item]:
    """Yield RGB frames, decoded on demand and scaled to the model's input when read.

    Raises InputError if opening fails.
    """
    preprocess, capture = picture_preprocess(text, plan), _open_file(text)
    label, count = Path(text).name, 0
    try:
        while True:
            begun_s = perf_counter()
            captured, frame = capture.read()
            if not captured:
                break
            name, decoded_s = f"{label}[{count}]", perf_counter() - begun_s
            yield Item(name, partial(sample_of_frame, name, frame, preprocess, decoded_s))
            count += 1
    finally:
        capture.release()
    if not count:
        yield Item(label, partial(_empty, f"video {text} holds no frame; give another with --input"))


def sample_of_frame(
    name: str, frame: Array, preprocess: Preprocess, decoded_s: float = 0.0, live: bool = False
) -> Sample:
    """The sample of a frame as OpenCV gives it: uint8 [height, width], or [height, width, 3] with blue first.

    ``decoded_s``: the seconds that decoding took; waiting for a camera does not count.
    """
    begun_s = perf_counter() - decoded_s
    rgb = frame[:, :, ::-1] if frame.ndim == 3 else frame
    return timed(begun_s, sample_of_pixels(name, np.ascontiguousarray(rgb), preprocess), live)


def _empty(sentence: str) -> Sample:
    raise InputError(sentence)


def picture_preprocess(text: str, plan: Plan) -> Preprocess:
    """How the plan makes its input from a picture. Raises InputError for a model that takes none."""
    preprocess = plan.preprocess
    if preprocess is None:
        raise InputError(f"this model does not take pictures; give its input tensors as an .npz file instead of {text}")
    return preprocess


def _open_file(text: str) -> Any:
    _, capture = open_cv2(text, text)
    if capture is None:
        if not Path(text).is_file():
            raise InputError(f"video {text} does not exist or is not a file; check the path")
        raise InputError(f"video {text} cannot be opened; it is damaged, or of a kind that this OpenCV cannot read")
    return capture


def open_cv2(label: str, device: int | str, timeout_ms: int | None = None) -> tuple[Any, Any]:
    """OpenCV's module, and its open VideoCapture of a camera's number, a device, a file or an address; else None.

    ``timeout_ms``: of opening and of each read, for an address. ``label`` is shown in errors. Raises MissingPackage.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingPackage(f"{label} needs OpenCV, which is not installed: pip install 'partway[video]'") from error
    _silence(cv2)
    more: tuple[Any, ...] = ()
    if timeout_ms is not None:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        more = (cv2.CAP_FFMPEG, limits)
    try:
        capture = cv2.VideoCapture(device, *more)
    except (cv2.error, OverflowError):
        return cv2, None
    if not capture.isOpened():
        capture.release()
        return cv2, None
    return cv2, capture


def _silence(cv2: Any) -> None:
    """Stop OpenCV and FFmpeg from printing their own messages; our error says it in one sentence."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging = getattr(cv2.utils, "logging", None)
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)


def open_video(text: str, plan: Plan) -> Iterator[Item]:
    """The frames of a video. Raises InputError at once if it cannot be opened."""
    picture_preprocess(text, plan)
    _open_file(text).release()
    return video_items(text, plan)
