"""Whether this edge-run is well: it is while every frame that was taken is answered before long.

``edge-run --health`` asks the edge-run of its container; nothing is written to disk for it.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

from partway.system.health_socket import health_name, wants_health

LONG_S = 60.0
"""Frames that are taken and not answered for so long mean that something hangs; waiting for a camera does not."""
ASK_S = 5.0


class Pulse:
    """Counts frames taken and answered, and tells who asks. ``close`` ends the telling."""

    def __init__(self) -> None:
        self._taken = self._answered = 0
        self._changed_s = monotonic()
        self._socket: socket.socket | None = None

    def took(self) -> None:
        """A frame came from the source."""
        if self._taken == self._answered:
            self._changed_s = monotonic()
        self._taken += 1

    def answered(self) -> None:
        """A frame was answered, or known not to be."""
        self._answered += 1
        self._changed_s = monotonic()

    def state(self) -> dict[str, Any]:
        """``well``, and the counts it is told by."""
        quiet_s = monotonic() - self._changed_s
        waiting = self._taken == self._answered
        return {"well": waiting or quiet_s < LONG_S, "frames": self._answered, "quiet_s": round(quiet_s, 1)}

    def tell(self) -> None:
        """Answer those who ask, where the image wants it; a second edge-run beside the first one stays silent."""
        if not wants_health():
            return
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
        with suppress(OSError):  # closed
            while True:
                asker, _ = listening.accept()
                with asker, suppress(OSError):
                    asker.sendall(json.dumps(self.state()).encode())

    def close(self) -> None:
        """No more is told."""
        if self._socket is not None:
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
