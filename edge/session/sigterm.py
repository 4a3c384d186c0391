"""SIGTERM ends a run as its input's end would: nothing more is taken, and every frame that was taken is answered.

A container's first process has no default for signals, so without this it would be killed with frames in flight.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Ending:
    """A context: within it SIGTERM sets ``asked`` and calls what ``on_end`` names; before frames flow it interrupts.

    Where this is not the main thread (a library's user decides about signals) nothing is caught.
    """

    def __init__(self) -> None:
        self.asked = False
        self._then: Callable[[], None] | None = None
        self._before: object = None

    def on_end(self, then: Callable[[], None] | None) -> None:
        """What to call at once when the signal comes; None: interrupt, as Ctrl-C does."""
        self._then = then

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._then is None:
            raise KeyboardInterrupt
        self._then()

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)  # type: ignore[arg-type]
