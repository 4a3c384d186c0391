"""Live sources that come back: a camera or a microphone that stops is opened again, with growing pauses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Protocol

from partway.edge.sources.files import Item, Sample
from partway.errors import InputError
from partway.units import show_s

log = logging.getLogger("partway.edge")
STALL_S = 10.0
"""Without a frame for this long, a live source counts as lost."""
FIRST_WAIT_S, MOST_WAIT_S = 0.5, 15.0
"""Between two attempts to open a source again; each pause is twice as long as the one before."""

Read = Callable[[str], Sample]
"""Makes the sample of a frame, under the name that it is given. Raises InputError if the frame is damaged."""


class Feed(Protocol):
    """An open source."""

    def next(self) -> Read:
        """Wait for the next frame. Raises InputError, with the reason, if none comes."""

    def close(self) -> None:
        """Let the device or the connection go."""


class Unreachable(InputError):  # noqa: N818 - says what happened
    """The source does not answer now; it may answer later."""


def reopening(label: str, open_feed: Callable[[], Feed], patient: bool = False) -> Iterator[Item]:
    """Frames without end. They are numbered through all losses, and each loss and return is logged.

    The first opening raises its InputError, unless the source is Unreachable and ``patient`` is set: then the items
    wait for it.
    """
    try:
        feed = open_feed()
    except Unreachable as error:
        if not patient:
            raise
        log.warning("%s; waiting for it", error)
        return _late_items(label, _frames(label, open_feed, None))
    return _items(_frames(label, open_feed, feed))


def _items(frames: Iterator[tuple[str, Read]]) -> Iterator[Item]:
    for name, read in frames:
        yield Item(name, partial(read, name))


def _late_items(label: str, frames: Iterator[tuple[str, Read]]) -> Iterator[Item]:
    def read_next() -> Sample:
        name, read = next(frames)
        return read(name)

    return (Item(label, read_next, late=True) for _ in repeat(None))


def _frames(label: str, open_feed: Callable[[], Feed], feed: Feed | None) -> Iterator[tuple[str, Read]]:
    """The name and the reader of each frame. ``feed`` None: it was never reached."""
    count, wait_s = 0, FIRST_WAIT_S
    lost_s = None if feed is not None else time.monotonic()
    try:
        while True:
            try:
                feed = feed or open_feed()
                read = feed.next()
            except InputError as error:
                if feed is not None:
                    feed.close()
                    feed = None
                if lost_s is None:
                    lost_s = time.monotonic()
                    log.warning("%s is lost after %d frames (%s); trying again", label, count, error)
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, MOST_WAIT_S)
                continue
            if lost_s is not None:
                log.warning("%s answers after %s", label, show_s(time.monotonic() - lost_s))
                lost_s, wait_s = None, FIRST_WAIT_S
            yield f"{label}[{count}]", read
            count += 1
    finally:
        if feed is not None:
            feed.close()
