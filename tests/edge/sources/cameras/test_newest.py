"""The newest frame of a stream: what is skipped, and how losses are told."""

import threading
import time
from collections.abc import Iterator

import pytest

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.newest import Newest
from partway.errors import InputError


def test_the_newest_frame_is_taken_and_older_ones_are_skipped() -> None:
    """A consumer that is slow gets the last frame, never an old one, and each at most once."""
    sent = threading.Event()

    def frames(_wanted: threading.Event) -> Iterator[int]:
        yield from range(100)
        sent.set()
        time.sleep(0.2)
        yield 100

    newest = Newest(frames)
    assert sent.wait(10)
    assert newest.take() == 99
    assert newest.take() == 100
    with pytest.raises(InputError, match="the stream ended"):
        newest.take()


def test_a_frame_is_only_made_while_it_is_wanted() -> None:
    """The stream learns whether somebody waits, so that it need not convert frames that nobody takes."""
    seen: list[bool] = []

    def frames(wanted: threading.Event) -> Iterator[int]:
        seen.append(wanted.is_set())
        assert wanted.wait(10)
        yield 1

    newest = Newest(frames)
    time.sleep(0.05)
    assert newest.take() == 1
    assert seen == [False]


def test_a_stall_and_an_error_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a frame for STALL_S the stream counts as lost; an error of the network is the reason of a loss."""
    monkeypatch.setattr(reopening, "STALL_S", 0.05)
    forever, closed = threading.Event(), threading.Event()

    def stalled(_wanted: threading.Event) -> Iterator[int]:
        try:
            forever.wait(10)
            yield 1
        finally:
            closed.set()

    newest = Newest(stalled)
    with pytest.raises(InputError, match=r"no frame for 0\.05 s"):
        newest.take()
    newest.close()
    forever.set()
    assert closed.wait(10), "the thread that reads must close the stream"

    def failing(_wanted: threading.Event) -> Iterator[int]:
        raise OSError("connection reset")
        yield 1

    with pytest.raises(InputError, match="connection reset"):
        Newest(failing).take()
