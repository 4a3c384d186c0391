"""SIGTERM ends a run as its input's end would: no more frames are read, and every frame that was read is answered.

cloud-serve has handlers of its own: asyncio calls those in its event loop, where the loop may be stopped.
Only command lines use this class: a program that uses Session decides about its signals itself. A container's first
process has no default for signals, so without a handler it would be killed with frames in flight.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Sigterm:
    """A context that handles SIGTERM: it sets ``received`` and calls what ``on_end`` named.

    Before anything was named it raises ``early``: KeyboardInterrupt, as Ctrl-C does, unless told otherwise. Outside the
    main thread, where Python allows no handler, it does nothing.
    """

    def __init__(self, early: Callable[[], BaseException] = KeyboardInterrupt) -> None:
        self.received = False
        self._early = early
        self._then: Callable[[], None] | None = None
        self._before: object = None

    def on_end(self, then: Callable[[], None]) -> None:
        """What to call at once when the signal arrives."""
        self._then = then

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True
        if self._then is None:
            raise self._early()
        self._then()

    def __enter__(self) -> Sigterm:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)  # type: ignore[arg-type]
