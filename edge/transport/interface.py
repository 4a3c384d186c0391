"""The interface of a frame stream, free of gRPC: a device without a cloud loads no network library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from partway.errors import LinkLost

T = TypeVar("T")
OnReply = Callable[[bytes, float], None]
OnLost = Callable[[LinkLost], None]


class FrameStream(Protocol):
    """Carries frames to a cloud. Callbacks given at opening receive replies and the loss of the link.

    The callbacks fire only inside ``send``, ``poll`` and ``meanwhile``, in the caller's thread.
    """

    def send(self, message: bytes) -> None:
        """Queue one frame; never blocks."""

    def poll(self, wait_s: float) -> None:
        """Send and receive until a callback has fired, for at most ``wait_s`` seconds."""

    def meanwhile(self, work: Callable[[], T]) -> T:
        """Do ``work`` in another thread while sending and receiving."""

    def wake(self) -> None:
        """End the running poll, or else the next one; may be called from any thread."""

    def close(self) -> None:
        """Close the stream; no callback fires afterwards."""
