"""Writes the replies of a stream in the order of its frames, whether they are ready at once or later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

Pending = bytes | asyncio.Future[bytes]


class OrderedReplies:
    """Writes replies one at a time, in order. A reply that is ready while no other waits is written at once.

    ``put`` blocks while ``most`` replies are unwritten, and while the frames of unwritten replies hold more than
    ``most_bytes``. Leaving the block normally writes the remaining replies; leaving it by an exception cancels them.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], most: int, most_bytes: int = 1 << 62) -> None:
        self._write = write
        self._queue: asyncio.Queue[tuple[Pending, int] | None] = asyncio.Queue(most)
        self._most_bytes = most_bytes
        self._bytes = 0
        self._written = asyncio.Event()
        self._unwritten = 0
        self._task: asyncio.Task[None] | None = None

    async def put(self, reply: Pending, size_bytes: int = 0) -> None:
        """Add the next reply, or a future of it; ``size_bytes`` is the size of its frame."""
        if self._unwritten == 0 and isinstance(reply, bytes):
            await self._write(reply)
            return
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        self._unwritten += 1
        self._bytes += size_bytes
        try:
            await self._queue.put((reply, size_bytes))
        except asyncio.CancelledError:
            _give_up(reply)
            raise
        while self._bytes > self._most_bytes:
            self._written.clear()
            await self._written.wait()

    async def _drain(self) -> None:
        while (item := await self._queue.get()) is not None:
            reply, size_bytes = item
            await self._write(reply if isinstance(reply, bytes) else await reply)
            self._unwritten -= 1
            self._bytes -= size_bytes
            self._written.set()

    async def __aenter__(self) -> OrderedReplies:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        try:
            if kind is None:
                await self._queue.put(None)
                await self._task
        finally:
            self._task.cancel()
            while not self._queue.empty():
                item = self._queue.get_nowait()
                _give_up(item and item[0])


def _give_up(reply: Pending | None) -> None:
    if isinstance(reply, asyncio.Future):
        reply.cancel()
