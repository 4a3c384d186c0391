"""The newest frame of a stream that does not wait: a thread reads all of them, and older ones are skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from partway.edge.sources.cameras import reopening
from partway.errors import InputError

T = TypeVar("T")


class Newest(Generic[T]):
    """Reads frames in a thread of its own. ``frames`` gets an event that is set while a frame is wanted.

    The thread also closes the stream, at the end of ``frames``: no other thread touches it.
    """

    def __init__(self, frames: Callable[[threading.Event], Iterator[T]]) -> None:
        self.wanted = threading.Event()
        self._changed = threading.Condition()
        self._frame: T | None = None
        self._ended = self._closed = False
        self._reason = "the stream ended"
        self._thread = threading.Thread(target=self._read, args=(frames,), name="camera", daemon=True)
        self._thread.start()

    def _read(self, frames: Callable[[threading.Event], Iterator[T]]) -> None:
        reading = frames(self.wanted)
        try:
            for frame in reading:
                with self._changed:
                    self._frame = frame
                    self._changed.notify_all()
                if self._closed:
                    break
        except Exception as error:  # whatever a network or a decoder raises, the stream is lost
            self._reason = _stalled() if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        finally:
            reading.close()  # type: ignore[attr-defined]
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def take(self) -> T:
        """Wait for a frame that was not taken yet. Raises InputError if the stream ends, or stalls for STALL_S."""
        self.wanted.set()
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended, reopening.STALL_S)
            frame, self._frame = self._frame, None
        self.wanted.clear()
        if frame is None:
            raise InputError(self._reason if self._ended else _stalled())
        return frame

    def close(self) -> None:
        """Ask the thread to end. A thread that is blocked in its own read ends with it."""
        self._closed = True


def _stalled() -> str:
    return f"no frame for {reopening.STALL_S:g} s"
