"""Open streams of frames, and how they end when this cloud leaves.

A device has no reason to end an open stream, so a cloud that stops would wait for it. Reading goes on for a moment, for
frames that are on their way; then every frame that was read is answered, and the call ends with a status that says why.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

LEAVING = "it is leaving"
LINGER_S = 0.1
"""What was sent before a device could know is still read."""


class Streams:
    """Reads messages for the service's streams until ``leave``."""

    def __init__(self) -> None:
        self.leaving = False
        self._reading: set[asyncio.Task[Any]] = set()

    async def read(self, context: Any) -> Any:
        """The next message; ``aio.EOF`` at its end, None when this cloud leaves."""
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
        """Soon read no more: every stream ends once what it has read is answered."""
        asyncio.get_running_loop().call_later(LINGER_S, self._stop)

    def _stop(self) -> None:
        self.leaving = True
        for task in list(self._reading):
            task.cancel()


async def end_stream(context: Any) -> None:
    """Tell the device why its stream ends, after the last reply."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, LEAVING)
