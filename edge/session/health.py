"""Health check of edge-run: it is alive while every frame it reads is answered within a minute.

systemd's watchdog and ``edge-run --health`` both use this rule. The latter asks the edge-run of the same container,
over a socket; nothing is written to disk.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from partway.system.connections import connections
from partway.system.health_socket import health_name, wants_health

STALLED_S = 60.0
"""If a frame waits longer for its answer, something hangs. Waiting for a camera does not count."""
TIMEOUT_S = 5.0


class Liveness:
    """Counts frames that were read and frames that are done. As a context manager, it answers ``edge-run --health``."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.read = self.done = 0
        self._clock = clock
        self._changed_s = clock()
        self._socket: socket.socket | None = None
        self._closed = threading.Event()

    def frame_read(self) -> None:
        """A frame was read from the source."""
        if self.read == self.done:
            self._changed_s = self._clock()
        self.read += 1

    def frame_done(self) -> None:
        """A frame was answered, or given up without an answer."""
        self.done += 1
        self._changed_s = self._clock()

    @property
    def quiet_s(self) -> float:
        """Seconds since the last frame was done, or since the first one after a pause was read."""
        return self._clock() - self._changed_s

    @property
    def alive(self) -> bool:
        """Whether no frame has waited for longer than STALLED_S."""
        return self.read <= self.done or self.quiet_s < STALLED_S

    def state(self) -> dict[str, Any]:
        """The reply to ``edge-run --health``."""
        return {"well": self.alive, "frames": self.done, "quiet_s": round(self.quiet_s, 1)}

    def __enter__(self) -> Liveness:
        """Answer ``--health`` if the image asks for it. A second edge-run in the same container does not answer."""
        if wants_health():
            self._listen()
        return self

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind("\0" + health_name("edge"))
            listener.listen(4)
        except OSError:
            listener.close()
            return
        self._socket = listener
        threading.Thread(target=self._serve, args=(listener,), name="health", daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        for connection in connections(listener, self._closed, "the socket of --health"):
            with connection, suppress(OSError):
                connection.sendall(json.dumps(self.state()).encode())

    def __exit__(self, *error: object) -> None:
        if self._socket is not None:
            self._closed.set()
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


def ask_health() -> tuple[bool, str]:
    """Whether the edge-run of this container is healthy, and a sentence that says so."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect("\0" + health_name("edge"))
            state = json.loads(connection.makefile("rb").read())
    except (OSError, ValueError):
        return False, "no edge-run answers here (it does so only with PARTWAY_HEALTH=1, which the images set)"
    sentence = f"{state['frames']} frames answered, the last change {state['quiet_s']} s ago"
    return bool(state["well"]), sentence if state["well"] else f"{sentence}: frames are read but not answered"
