"""What a stream of frames is, apart from what carries it: a device without a cloud loads no network library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from partway.errors import LinkLost

T = TypeVar("T")
OnReply = Callable[[bytes, float], None]
OnLost = Callable[[LinkLost], None]


class FrameStream(Protocol):
    """Somewhere frames go. Replies and the loss of the link come back through callbacks given when it was opened.

    The callbacks fire inside ``send``, ``poll`` and ``meanwhile`` only, in the caller's thread.
    """

    def send(self, message: bytes) -> None:
        """Queue one frame; never blocks."""

    def poll(self, wait_s: float) -> None:
        """Let frames come and go until a callback has fired, for ``wait_s`` seconds at most."""

    def meanwhile(self, work: Callable[[], T]) -> T:
        """Do ``work`` in another thread while frames come and go."""

    def wake(self) -> None:
        """From any thread: end the poll that is under way, or else the next one."""

    def close(self) -> None:
        """No more frames; no callback fires afterwards."""
