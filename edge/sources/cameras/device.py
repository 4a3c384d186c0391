"""``--input camera:N``: a camera of this machine, by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from partway.edge.sources.cameras.reopening import Read, Unreachable, reopening
from partway.edge.sources.files import Item
from partway.edge.sources.shipped import CAMERA
from partway.edge.sources.video import open_cv2, picture_preprocess, sample_of_frame
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.units import whole_number


class CameraFeed:
    """An open camera."""

    def __init__(self, text: str, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        self._capture = _open_camera(text)

    def next(self) -> Read:
        """See Feed."""
        captured, frame = self._capture.read()
        if not captured:
            raise InputError("it gives no frame; check that it is still plugged in")
        return partial(sample_of_frame, frame=frame, preprocess=self._preprocess, live=True)

    def close(self) -> None:
        """See Feed."""
        self._capture.release()


def _open_camera(text: str) -> Any:
    name = text.removeprefix(CAMERA)
    if not name or name.startswith("-"):
        raise InputError(f"{text!r} names no camera; give a number or a device, for example camera:0")
    device: int | str = name if (number := whole_number(name)) is None else number
    cv2, capture = open_cv2(text, device)
    if capture is None:
        raise Unreachable(
            f"camera {name} cannot be opened; `ls /dev/video*` lists the cameras, and another program may use this one"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # so that each read returns the newest picture
    return capture


def open_camera(text: str, plan: Plan, patient: bool = False) -> Iterator[Item]:
    """The frames of a camera. Raises InputError at once if it cannot be opened."""
    preprocess = picture_preprocess(text, plan)
    return reopening(text, lambda: CameraFeed(text, preprocess), patient)
