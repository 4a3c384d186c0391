"""Whether an edge-run is alive: it is while every frame that was read is answered within a minute.

systemd's watchdog and ``edge-run --health``, which asks the edge-run of its container, follow this one rule. Nothing is
written to disk for it.
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

LONG_S = 60.0
"""A frame that is read and not answered for this long means that something hangs; waiting for a camera does not."""
ASK_S = 5.0


class Liveness:
    """Counts frames that were read and frames that are done. As a context it answers ``edge-run --health``."""

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
        """A frame was answered, or nobody can answer it."""
        self.done += 1
        self._changed_s = self._clock()

    @property
    def quiet_s(self) -> float:
        """Seconds since the last frame was done, or since the first one after a pause was read."""
        return self._clock() - self._changed_s

    @property
    def alive(self) -> bool:
        """Whether no frame has waited for longer than LONG_S."""
        return self.read <= self.done or self.quiet_s < LONG_S

    def state(self) -> dict[str, Any]:
        """What ``edge-run --health`` is told."""
        return {"well": self.alive, "frames": self.done, "quiet_s": round(self.quiet_s, 1)}

    def __enter__(self) -> Liveness:
        """Answer ``--health`` where the image wants it; a second edge-run beside the first one stays silent."""
        if wants_health():
            self._listen()
        return self

    def _listen(self) -> None:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind("\0" + health_name("edge"))
            listening.listen(4)
        except OSError:
            listening.close()
            return
        self._socket = listening
        threading.Thread(target=self._serve, args=(listening,), name="health", daemon=True).start()

    def _serve(self, listening: socket.socket) -> None:
        for asker in connections(listening, self._closed, "the socket of --health"):
            with asker, suppress(OSError):
                asker.sendall(json.dumps(self.state()).encode())

    def __exit__(self, *error: object) -> None:
        if self._socket is not None:
            self._closed.set()
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


def ask() -> tuple[bool, str]:
    """Whether the edge-run of this container is well, and a sentence on it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(ASK_S)
            asking.connect("\0" + health_name("edge"))
            state = json.loads(asking.makefile("rb").read())
    except (OSError, ValueError):
        return False, "no edge-run answers here (it tells its health where PARTWAY_HEALTH=1 is set, as in the images)"
    said = f"{state['frames']} frames answered, the last change {state['quiet_s']} s ago"
    return bool(state["well"]), said if state["well"] else f"{said}: frames are taken and not answered"
