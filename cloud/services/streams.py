"""Open streams of frames, and how they end when this cloud shuts down.

A device does not end its open stream, so the cloud must. It reads for a moment longer, for frames that are on their
way, and answers every frame that it has read. Then it ends the call with a status that gives the reason.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

LEAVING = "it is leaving"
LINGER_S = 0.1
"""The cloud reads this long after ``leave``, for frames that devices have already sent."""


class Streams:
    """Reads the messages of the service's streams until ``leave``."""

    def __init__(self) -> None:
        self.leaving = False
        self._reading: set[asyncio.Task[Any]] = set()

    async def read(self, context: Any) -> Any:
        """The next message; ``aio.EOF`` at the end of the stream, None if this cloud shuts down."""
        if self.leaving:
            return None
        task = asyncio.current_task()
        assert task is not None
        self._reading.add(task)
        try:
            return await context.read()
        except asyncio.CancelledError:
            if not self.leaving:
                raise
            task.uncancel()
            return None
        finally:
            self._reading.discard(task)

    def leave(self) -> None:
        """Stop reading after LINGER_S. Every stream then ends once its frames are answered."""
        asyncio.get_running_loop().call_later(LINGER_S, self._stop)

    def _stop(self) -> None:
        self.leaving = True
        for task in list(self._reading):
            task.cancel()


async def end_stream(context: Any) -> None:
    """End the stream after the last reply, with the reason for the device."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, LEAVING)
