"""A stream of frames over gRPC, driven by the thread that uses it.

The event loop runs only inside ``send``, ``poll`` and ``meanwhile``: handing frames to a thread of the transport's own
and waking up for each reply cost more than all the rest of a short frame (measured: benchmarks/overhead.py). Work that
takes longer than a hand-over is done in a thread ``meanwhile``, so that replies are timed when they come.
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
    """ModelStreamInfer over an open call: messages are written by whoever sends them, a task reads replies."""

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
        # A stop left over from ``meanwhile``, or the timer of an earlier poll, ends the loop early.
        while not self._news and not self._woken and self._loop.time() < until_s:
            self._set_timer(until_s)
            self._drive()
        self._woken = False

    def _set_timer(self, until_s: float) -> None:
        """One that rings sooner is left as it is: making one for each frame would cost more than its ringing."""
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
        """A callback has fired: whoever polls may go on."""
        self._news = True
        if self._driven:
            self._loop.stop()

    async def _begin(self) -> None:
        """From when the call is there, messages are written as they are sent."""
        with suppress(aio.AioRpcError):  # the reader reports the loss
            await self._call.wait_for_connection()
            self._open = True
            self._write()

    def _write(self) -> None:
        """Hand gRPC the next message here and now: the first step of its coroutine does it, no loop has to turn."""
        while self._outbox:
            self._writing = self._call.write(self._outbox.popleft())
            if not self._step():
                return

    def _step(self) -> bool:
        """Whether the message is written, or never will be."""
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
    """Run a coroutine on a loop that an earlier ``wake`` may still stop: it goes on until the coroutine has ended."""
    task = loop.create_task(work)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        loop.run_forever()
    return task.result()


def brief(error: aio.AioRpcError) -> str:
    """The part of a gRPC error that tells people something."""
    details: str = (error.details() or error.code().name).splitlines()[0]
    if details == "Internal error from Core":  # what gRPC says when a write meets a closed connection
        return "the connection broke"
    return details.rsplit("Failed to connect to remote host: ", 1)[-1].strip("; ")[:160]
