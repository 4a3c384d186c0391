"""A stream of frames over gRPC, driven by the calling thread.

The event loop runs only inside ``send``, ``poll`` and ``meanwhile``. A separate transport thread would cost more than
the rest of a short frame, in hand-overs and wake-ups (measured: benchmarks/overhead.py). Work that takes longer than a
hand-over runs in a thread by ``meanwhile``, so that replies are timed on arrival.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter
from typing import Any

from grpc import aio

from partway.edge.transport.interface import OnLost, OnReply, T
from partway.errors import LinkLost


class GrpcStream:
    """ModelStreamInfer over an open call: the sender writes messages, a task reads replies."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, call: Any, on_reply: OnReply, on_lost: OnLost, address: str
    ) -> None:
        self._loop, self._call, self._address = loop, call, address
        self._on_reply, self._on_lost = on_reply, on_lost
        self._outbox: deque[bytes] = deque()
        self._writing: Coroutine[Any, Any, None] | None = None
        self._open = self._closed = self._driven = self._news = self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._tasks = [loop.create_task(self._begin()), loop.create_task(self._read())]

    def send(self, message: bytes) -> None:
        """See FrameStream."""
        self._outbox.append(message)
        if not self._open:
            self.poll(0.0)
        elif self._writing is None:
            self._write()

    def poll(self, wait_s: float) -> None:
        """See FrameStream."""
        if wait_s <= 0:
            self._loop.call_soon(self._loop.stop)
            self._drive()
            return
        until_s = self._loop.time() + wait_s
        self._news = False
        # A pending stop from ``meanwhile``, or the timer of an earlier poll, may end the loop early.
        while not self._news and not self._woken and self._loop.time() < until_s:
            self._set_timer(until_s)
            self._drive()
        self._woken = False

    def _set_timer(self, until_s: float) -> None:
        """Set a timer, unless an earlier one is set: an early wake-up costs less than a new timer per frame."""
        if self._timer is not None:
            if self._timer.when() <= until_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(until_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._loop.stop()

    def wake(self) -> None:
        """See FrameStream."""
        self._woken = True
        if not self._closed:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._loop.stop)

    def meanwhile(self, work: Callable[[], T]) -> T:
        """See FrameStream."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="prefix")
        future = self._worker.submit(work)
        future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        while not future.done():
            self._drive()
        return future.result()

    def _drive(self) -> None:
        self._driven = True
        try:
            self._loop.run_forever()
        finally:
            self._driven = False

    def _fired(self) -> None:
        """End the current poll, since a callback has fired."""
        self._news = True
        if self._driven:
            self._loop.stop()

    async def _begin(self) -> None:
        """Wait for the connection, then write the queued messages; later ones are written when sent."""
        with suppress(aio.AioRpcError):  # the reader reports the loss
            await self._call.wait_for_connection()
            self._open = True
            self._write()

    def _write(self) -> None:
        """Hand gRPC the next message at once: the first step of its coroutine does so without running the loop."""
        while self._outbox:
            self._writing = self._call.write(self._outbox.popleft())
            if not self._step():
                return

    def _step(self) -> bool:
        """Advance the pending write; returns whether it has ended, written or failed."""
        assert self._writing is not None
        try:
            self._writing.send(None).add_done_callback(self._written)
        except (StopIteration, aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            self._writing = None  # the reader reports the loss
            return True
        return False

    def _written(self, _: object) -> None:
        if self._step():
            self._write()

    async def _read(self) -> None:
        try:
            while (message := await self._call.read()) is not aio.EOF:
                self._on_reply(message, perf_counter())
                self._fired()
            reason = "it ended the stream"
        except aio.AioRpcError as error:
            reason = brief(error)
        except asyncio.CancelledError:
            reason = "the stream was cancelled"
        if not self._closed:
            self._on_lost(LinkLost(f"the cloud at {self._address} is lost: {reason}"))
            self._fired()

    def close(self) -> None:
        """See FrameStream."""
        if self._closed:
            return
        self._closed = True
        if self._worker is not None:
            self._worker.shutdown()
        to_the_end(self._loop, self._end())

    async def _end(self) -> None:
        self._outbox.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def to_the_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, restarting the loop if an earlier ``wake`` stops it."""
    task = loop.create_task(work)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        loop.run_forever()
    return task.result()


def brief(error: aio.AioRpcError) -> str:
    """The readable part of a gRPC error."""
    details: str = (error.details() or error.code().name).splitlines()[0]
    if details == "Internal error from Core":  # gRPC's message for a write to a closed connection
        return "the connection broke"
    return details.rsplit("Failed to connect to remote host: ", 1)[-1].strip("; ")[:160]
