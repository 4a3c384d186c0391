"""Notifies systemd over its socket (sd_notify(3)): ready, still alive, about to stop."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*lines: str) -> bool:
    """Send assignments such as ``READY=1``. Returns False if systemd does not listen. It never raises an error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
            end.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
    except OSError:
        return False
    return True


def watchdog_s() -> float | None:
    """The interval of systemd's watchdog in seconds (WATCHDOG_USEC); None without a watchdog."""
    with suppress(ValueError):
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            interval_s = int(os.environ.get("WATCHDOG_USEC", "")) / 1e6
            return interval_s if interval_s > 0 else None
    return None
