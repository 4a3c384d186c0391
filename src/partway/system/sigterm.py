"""SIGTERM ends a run like the end of its input: it reads no more frames and answers every frame it has read.

cloud-serve has handlers of its own: asyncio calls those in its event loop, where the loop may be stopped.
Only command lines use this class: a program that uses Session handles its own signals. A container's first process has
no default signal handlers, so without this one it would be killed with frames in flight.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Sigterm:
    """A context that handles SIGTERM: it sets ``received`` and calls the function given to ``on_end``.

    Before ``on_end`` it raises ``early``, by default KeyboardInterrupt as Ctrl-C does. Outside the main thread, where
    Python allows no handler, it does nothing.
    """

    def __init__(self, early: Callable[[], BaseException] = KeyboardInterrupt) -> None:
        self.received = False
        self._early = early
        self._stop: Callable[[], None] | None = None
        self._previous: object = None

    def on_end(self, stop: Callable[[], None]) -> None:
        """Call ``stop`` at once when the signal arrives."""
        self._stop = stop

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True
        if self._stop is None:
            raise self._early()
        self._stop()

    def __enter__(self) -> Sigterm:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)  # type: ignore[arg-type]
