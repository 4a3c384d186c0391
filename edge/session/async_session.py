"""The awaiting form of a session: everything that touches the cloud happens in one worker thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import Change
from partway.edge.options import MOST_WINDOW, Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.session.opened import OpenSession, check_process, forked
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals
from partway.edge.sources.samples import sample_of
from partway.partitioner.plan.plan import Plan

if TYPE_CHECKING:
    from partway.edge.sources.samples import Input

AHEAD = 2
"""Frames that ``run`` holds begun, in windows: enough that the worker never waits for the event loop."""


@dataclass(slots=True)
class _Asked:
    given: Input
    answer: asyncio.Future[FrameResult]
    came_s: float


class _Asks(Arrivals):
    """What the tasks ask, for the worker. ``begun`` waits for answers. Ends when nothing is asked nor in flight."""

    def __init__(self, plan: Plan, refuse: Callable[[_Asked, BaseException], None]) -> None:
        self._plan, self._refuse = plan, refuse
        self.asked: deque[_Asked] = deque()
        self.begun: deque[_Asked] = deque()
        self.lock = threading.Lock()
        self.ended = True
        self.on_ready = lambda: None

    def ask(self, asked: _Asked) -> bool:
        """Another one; whether somebody has to begin answering."""
        with self.lock:
            self.asked.append(asked)
            begin, self.ended = self.ended, False
        if not begin:
            self.on_ready()
        return begin

    def ready(self) -> bool:
        """See Arrivals."""
        return bool(self.asked) or self.ended

    def wait(self, seconds: float) -> None:
        """See Arrivals."""
        with self.lock:
            self.ended = not self.asked

    def take(self, most: int) -> list[tuple[Sample, float]] | None:
        """See Arrivals. An input that cannot be read costs the others nothing."""
        taken: list[tuple[Sample, float]] = []
        while self.asked and len(taken) < most:
            asked = self.asked.popleft()
            if asked.answer.cancelled():
                continue
            try:
                taken.append((sample_of(asked.given, self._plan, "frame"), asked.came_s))
            except Exception as error:  # told to whoever asked
                self._refuse(asked, error)
            else:
                self.begun.append(asked)
        return None if self.ended and not taken else taken


async def open_async(options: Options) -> AsyncSession:
    """Open a session in a thread of its own. Raises InputError as opening does."""
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
        self._asks = _Asks(session.plan, self._tell)
        self._closed = False

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

    async def infer(self, given: Input) -> FrameResult:
        """See OpenSession.infer. Several tasks may ask at once: their frames are in flight together."""
        if self._closed:
            raise RuntimeError("this session is closed")
        check_process(self._process)
        asked = _Asked(given, self._loop.create_future(), perf_counter())
        if self._asks.ask(asked):
            self._worker.submit(self._pump)
        return await asked.answer

    async def run(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> AsyncIterator[FrameResult]:
        """See OpenSession.run; inputs may come asynchronously, too."""
        begun: deque[asyncio.Task[FrameResult]] = deque()
        try:
            async for given in _each(inputs):
                begun.append(asyncio.ensure_future(self.infer(given)))
                await asyncio.sleep(0)
                while begun and (len(begun) >= AHEAD * self._window or begun[0].done()):
                    yield await begun.popleft()
            while begun:
                yield await begun.popleft()
        finally:
            for task in begun:
                task.cancel()

    async def close(self) -> None:
        """Answer what was asked, then end everything."""
        if not self._closed and not forked(self._process):  # in a forked process it is the parent's to close
            self._closed = True
            await self._loop.run_in_executor(self._worker, self._session.close)
            self._worker.shutdown()

    def _pump(self) -> None:
        """In the worker: answer until nothing is asked any more, and nothing in flight."""
        asks = self._asks
        try:
            for result in self._session.answers(asks):
                self._tell(asks.begun.popleft(), result)
        except BaseException as error:
            with asks.lock:
                failed, asks.ended = [*asks.begun, *asks.asked], True
                asks.begun.clear()
                asks.asked.clear()
            for asked in failed:
                self._tell(asked, error)

    def _tell(self, asked: _Asked, said: FrameResult | BaseException) -> None:
        self._loop.call_soon_threadsafe(_set, asked.answer, said)


def _set(answer: asyncio.Future[FrameResult], said: FrameResult | BaseException) -> None:
    if answer.done():  # whoever asked has given up
        return
    if isinstance(said, BaseException):
        answer.set_exception(said)
    else:
        answer.set_result(said)


async def _each(inputs: Iterable[Input] | AsyncIterable[Input]) -> AsyncIterator[Input]:
    if isinstance(inputs, AsyncIterable):
        async for given in inputs:
            yield given
    else:
        for given in inputs:
            yield given
