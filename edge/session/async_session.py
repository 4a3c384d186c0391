"""The asynchronous form of a session: one worker thread does everything that touches the cloud."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import Change
from partway.edge.options import MOST_WINDOW, Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.session.opened import OpenSession, check_process, forked
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals
from partway.edge.sources.originals import without_picture
from partway.edge.sources.samples import sample_of
from partway.partitioner.plan.plan import Plan

if TYPE_CHECKING:
    from partway.edge.sources.samples import Input

AHEAD = 2
"""How many windows of frames ``run`` begins ahead: enough that the worker never waits for the event loop."""


@dataclass(slots=True)
class _Request:
    value: Input
    answer: asyncio.Future[FrameResult]
    arrived_s: float
    begins: bool = False


class _Requests(Arrivals):
    """Requests of the tasks, for the worker. Those in ``begun`` wait for answers. It ends when no request is open."""

    def __init__(self, plan: Plan, refuse: Callable[[_Request, BaseException], None]) -> None:
        self._plan, self._refuse = plan, refuse
        self.waiting: deque[_Request] = deque()
        self.begun: deque[_Request] = deque()
        self.lock = threading.Lock()
        self.ended = True
        self.on_ready = lambda: None

    def add(self, request: _Request) -> bool:
        """Add a request. Returns whether the caller has to start the worker."""
        with self.lock:
            self.waiting.append(request)
            begin, self.ended = self.ended, False
        if not begin:
            self.on_ready()
        return begin

    def ready(self) -> bool:
        """See Arrivals."""
        return bool(self.waiting) or self.ended

    def wait(self, seconds: float) -> None:
        """See Arrivals."""
        with self.lock:
            self.ended = not self.waiting

    def take(self, most: int) -> list[tuple[Sample, float]] | None:
        """See Arrivals. An input that cannot be read fails its own request only."""
        readable: list[tuple[Sample, float]] = []
        while self.waiting and len(readable) < most:
            request = self.waiting.popleft()
            if request.answer.cancelled():
                continue
            try:
                sample = without_picture(sample_of(request.value, self._plan, "frame"))
                readable.append((replace(sample, begins=True) if request.begins else sample, request.arrived_s))
            except Exception as error:  # the task that waits for this answer gets the error
                self._refuse(request, error)
            else:
                self.begun.append(request)
        return None if self.ended and not readable else readable


async def open_async(options: Options) -> AsyncSession:
    """Open a session in a thread of its own. Raises the same errors as OpenSession."""
    worker = ThreadPoolExecutor(1, thread_name_prefix="partway")
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(worker, OpenSession, options)
    try:
        session = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: None if done.exception() else worker.submit(done.result().close))
        raise
    finally:
        if not opening.done() or opening.exception() is not None:
            threading.Thread(target=worker.shutdown, daemon=True).start()
    return AsyncSession(session, worker, options.window or MOST_WINDOW)


class AsyncSession:
    """A model ready to infer, for the tasks of one event loop."""

    def __init__(self, session: OpenSession, worker: ThreadPoolExecutor, window: int) -> None:
        self._session, self._worker, self._window = session, worker, window
        self._process, self._loop = os.getpid(), asyncio.get_running_loop()
        self._requests = _Requests(session.plan, self._deliver)
        self._closed = self._begins = False

    @property
    def plan(self) -> Plan:
        """See OpenSession."""
        return self._session.plan

    @property
    def decision(self) -> Decision:
        """See OpenSession."""
        return self._session.decision

    @property
    def changes(self) -> Sequence[Change]:
        """See OpenSession."""
        return self._session.changes

    async def infer(self, value: Input) -> FrameResult:
        """See OpenSession.infer. Several tasks may call it at once; their frames are then in flight together."""
        if self._closed:
            raise RuntimeError("this session is closed")
        check_process(self._process)
        request = _Request(value, self._loop.create_future(), perf_counter(), self._begins)
        self._begins = False
        if self._requests.add(request):
            self._worker.submit(self._pump)
        return await request.answer

    def reset(self) -> None:
        """See OpenSession.reset: the next call of ``infer`` begins a new sequence."""
        self._begins = True

    async def run(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> AsyncIterator[FrameResult]:
        """See OpenSession.run; ``inputs`` may also be an asynchronous iterable."""
        begun: deque[asyncio.Task[FrameResult]] = deque()
        try:
            async for value in _each(inputs):
                begun.append(asyncio.ensure_future(self.infer(value)))
                await asyncio.sleep(0)
                while begun and (len(begun) >= AHEAD * self._window or begun[0].done()):
                    yield await begun.popleft()
            while begun:
                yield await begun.popleft()
        finally:
            for task in begun:
                task.cancel()

    async def close(self) -> None:
        """Answer every open request, then close the session."""
        if not self._closed and not forked(self._process):  # in a forked process the session belongs to the parent
            self._closed = True
            await self._loop.run_in_executor(self._worker, self._session.close)
            self._worker.shutdown()

    def _pump(self) -> None:
        """Runs in the worker: answer until no request waits and none is in flight."""
        requests = self._requests
        try:
            for result in self._session.answers(requests):
                self._deliver(requests.begun.popleft(), result)
        except BaseException as error:
            with requests.lock:
                failed, requests.ended = [*requests.begun, *requests.waiting], True
                requests.begun.clear()
                requests.waiting.clear()
            for request in failed:
                self._deliver(request, error)

    def _deliver(self, request: _Request, result: FrameResult | BaseException) -> None:
        self._loop.call_soon_threadsafe(_set, request.answer, result)


def _set(answer: asyncio.Future[FrameResult], result: FrameResult | BaseException) -> None:
    if answer.done():  # the task was cancelled
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)


async def _each(inputs: Iterable[Input] | AsyncIterable[Input]) -> AsyncIterator[Input]:
    if isinstance(inputs, AsyncIterable):
        async for value in inputs:
            yield value
    else:
        for value in inputs:
            yield value
