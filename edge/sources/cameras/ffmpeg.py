"""``--input rtsp://…``: cameras that FFmpeg, inside OpenCV, connects to and decodes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.address import Address, camera_address, check_reachable
from partway.edge.sources.cameras.newest import Newest
from partway.edge.sources.cameras.reopening import Read, Unreachable
from partway.edge.sources.files import Item
from partway.edge.sources.video import open_cv2, picture_preprocess, sample_of_frame
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess

Array = np.ndarray[Any, Any]


class FfmpegFeed:
    """An open stream. All frames are decoded; only those that are wanted become pictures.

    ``text`` is the address as it was given: FFmpeg takes the credentials from it.
    """

    def __init__(self, text: str, address: Address, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        if address.port:
            check_reachable(address)
        capture = _open_stream(text, address)
        self._newest: Newest[Array] = Newest(partial(_pictures, capture))

    def next(self) -> Read:
        """See Feed."""
        return partial(sample_of_frame, frame=self._newest.take(), preprocess=self._preprocess, live=True)

    def close(self) -> None:
        """See Feed."""
        self._newest.close()


def _open_stream(text: str, address: Address) -> Any:
    _, capture = open_cv2(address.label, text, int(reopening.STALL_S * 1e3))
    if capture is None:
        raise Unreachable(
            f"camera {address.label} answers, but gives no stream; check the path, the user and the password"
        )
    return capture


def _pictures(capture: Any, wanted: threading.Event) -> Iterator[Array]:
    try:
        while capture.grab():
            if wanted.is_set():
                decoded, picture = capture.retrieve()
                if decoded:
                    yield picture
    finally:
        capture.release()


def open_stream(text: str, plan: Plan, patient: bool = False) -> Iterator[Item]:
    """The frames of a camera by its address. Raises InputError at once if it cannot be opened."""
    address = camera_address(text)
    preprocess = picture_preprocess(address.label, plan)
    return reopening.reopening(address.label, lambda: FfmpegFeed(text, address, preprocess), patient)
