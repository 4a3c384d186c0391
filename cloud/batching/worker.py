"""The thread that runs frames, several at once if that pays. ``scheduler`` decides what runs when."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, TypeVar

from partway.cloud.answer import FrameRefused, Route, answer_frame
from partway.cloud.batching.execute import Job, as_refusal, decoded, run_batch
from partway.cloud.batching.fair_queue import Queue
from partway.cloud.batching.scheduler import BatchLimits, BatchRun, QueuedFrame, Wait
from partway.cloud.batching.stats import BatchStats
from partway.cloud.models.repository import ServedModel
from partway.proto.frame import Durations, Frame, Reply

log = logging.getLogger("partway.cloud")
T = TypeVar("T")
Clock = Callable[[], float]
LONGEST_S = 3600.0
"""The longest single wait of the thread."""
RETRY_S = 0.1
"""Pause of the thread after an error of its own, so that a lasting error does not use a whole core."""


class Batcher:
    """Runs the suffixes of the models on one device, in a thread that the first frame starts.

    :meth:`submit` and :meth:`close` belong to one event loop. Any thread may read ``stats``.
    """

    def __init__(
        self, models: Mapping[str, ServedModel], limits: BatchLimits | None = None, clock: Clock = perf_counter
    ) -> None:
        self._models = models
        self._clock = clock
        costs = {name: (model.suffix_s, model.chain.buckets) for name, model in models.items()}
        self._queue = Queue(limits or BatchLimits(), costs, clock)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._closed = False
        self._stopped = threading.Event()
        self.stats = BatchStats()

    @property
    def queue_s(self) -> float:
        """Expected seconds that a frame arriving now would wait for the frames before it."""
        with self._changed:
            return self._queue.ahead_s

    def idle(self, model: str) -> bool:
        """Whether no frame of this model waits."""
        return not any(entry.model == model for entry in self._queue.entries)

    def submit(
        self,
        route: Route,
        frame: Frame,
        received_s: float,
        stream: Hashable,
        finish: Callable[[Reply | FrameRefused], T],
    ) -> asyncio.Future[T]:
        """Queue a frame. ``finish`` turns the reply or the refusal into the result, or raises; it is called once.

        ``received_s`` is on the batcher's clock; ``stream`` identifies the sender. Cancelling the future takes the
        frame out of the queue.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        model, k = route.model, route.k
        rows = frame_rows(route, frame)
        job = Job(
            model.plan.model,
            stream,
            k,
            received_s,
            inf if route.deadline_s is None else received_s + route.deadline_s,
            rows,
            sum(len(data) for data in frame.raw),
            model.suffix_s[k] * rows,
            model.independent and k in model.batched,
            route=route,
            frame=frame,
            settle=partial(_settle, future, finish, self._clock),
        )
        self._loop = loop
        future.add_done_callback(partial(self._given_up, job))
        with self._changed:
            closed = self._closed
            dropped = [] if closed else self._queue.put(job)
            self._count()
            retry_s = self._queue.ahead_s / 2 if dropped else 0.0
            self._changed.notify()
        if closed:
            self._refuse(
                [job],
                lambda _: FrameRefused(
                    "UNAVAILABLE", "this cloud is shutting down; use another one, or try again later"
                ),
            )
            return future
        self.stats.refused += len(dropped)
        self._refuse(dropped, lambda _: FrameRefused("RESOURCE_EXHAUSTED", *_full(retry_s)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="suffix", daemon=True)
            self._thread.start()
        return future

    def _given_up(self, job: Job, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            with self._changed:
                job.given_up = True
                self.stats.cancelled += self._queue.remove(job)
                self._count()

    def _count(self) -> None:
        waiting = self._queue.entries
        self.stats.queued, self.stats.queued_bytes = len(waiting), self._queue.size_bytes if waiting else 0

    def close(self) -> None:
        """End the thread once the queue is empty; blocks until then."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            batch: Sequence[QueuedFrame] = ()
            try:
                if (step := self._next()) is None:
                    return
                batch = step.batch
                self._run(step)
            except Exception as error:  # an internal error must not end the thread, nor leave a frame unanswered
                if not batch:
                    log.warning(
                        "choosing what runs next failed (%s); the waiting frames are refused", error, exc_info=error
                    )
                    self._stopped.wait(RETRY_S)
                self._fail([job for job in batch or tuple(self._queue.entries) if isinstance(job, Job)], error)

    def _next(self) -> BatchRun | None:
        with self._changed:
            while True:
                late = self._queue.expire()
                step = self._queue.next() if not late else None
                if late:
                    self.stats.expired += len(late)
                    self._refuse(late, _late)
                elif isinstance(step, Wait):
                    if self._closed and not self._queue.entries:
                        return None
                    self._changed.wait(min(step.seconds, LONGEST_S))
                self._count()
                if isinstance(step, BatchRun):
                    return step

    def _run(self, run: BatchRun) -> None:
        jobs = [job for job in run.batch if isinstance(job, Job)]
        model = self._models[jobs[0].model]
        batch, others = self._decoded(jobs, self._queue.limits.max_batch)
        begun_s = self._clock()
        succeeded = run_batch(model, run, batch, partial(self._too_large, model.plan.model)) if batch else []
        run_s = self._clock() - begun_s
        for job in batch:
            job.suffix_s += run_s
        finished = run.last == len(model.plan.stages)
        with self._changed:
            if batch and len(succeeded) == len(batch):
                self._queue.uses[model.plan.model].learn(BatchRun(tuple(batch), run.first, run.last, ()), run_s)
            self._queue.done([job for job in succeeded if not job.given_up], run.last, finished)
            self._queue.put_back(others)
            if batch:
                self.stats.ran(model.plan.model, run.first, [job.k for job in batch], sum(job.rows for job in batch))
            self.stats.frames += len(succeeded) if finished else 0
            self.stats.failed += sum(job.refusal is not None for job in jobs)
            self._count()
        self._settle([job for job in jobs if job.refusal is not None or (finished and job in succeeded)])

    def _decoded(self, jobs: Sequence[Job], most: int) -> tuple[list[Job], list[Job]]:
        """Decode the frames. Returns those that can run together, and those that do not fit in with them."""
        batch: list[Job] = []
        others: list[Job] = []
        rows = 0
        for job in jobs:
            if job.at is None:
                begun_s = self._clock()
                if not decoded(job):
                    continue
                job.decode_s = self._clock() - begun_s
            if batch and (not job.joins or not batch[0].joins or rows + job.rows > most):
                others.append(job)
            else:
                batch.append(job)
                rows += job.rows
        return batch, others

    def _too_large(self, model: str, rows: int) -> None:
        with self._changed:
            self._queue.uses[model].too_large(rows)
            self.stats.halved += 1

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        with self._changed:
            self._queue.done((), 0, last=True)
            for job in jobs:
                self._queue.remove(job)
            self.stats.failed += len(jobs)
        self._refuse(jobs, partial(as_refusal, error))

    def _refuse(self, entries: Iterable[QueuedFrame], why: Callable[[Job], FrameRefused]) -> None:
        jobs = [entry for entry in entries if isinstance(entry, Job)]
        for job in jobs:
            job.refusal = why(job)
        self._settle(jobs)

    def _settle(self, jobs: Sequence[Job]) -> None:
        """Complete the futures of these frames in one call on the event loop. Any thread may call this."""
        if not jobs:
            return
        settled = [job.settle(job) for job in jobs]
        try:
            self._loop.call_soon_threadsafe(_call_all, settled)
        except RuntimeError:  # the event loop is closed, so no caller waits
            log.debug("%d answers arrived after the end", len(jobs))


def frame_rows(route: Route, frame: Frame) -> int:
    """The number of samples of an undecoded frame, according to its header."""
    if route.k not in route.model.batched:
        return 1
    return max((head.shape[0] for head in frame.header.tensors if head.shape), default=1)


def _full(retry_s: float) -> tuple[str, float]:
    retry_s = max(retry_s, 1e-3)
    return f"too many frames wait in the cloud; try again in {retry_s * 1e3:.0f} ms, or run on the device", retry_s


def _late(job: Job) -> FrameRefused:
    after_s = job.route.deadline_s or 0.0
    return FrameRefused("DEADLINE_EXCEEDED", f"the frame waited past its deadline of {after_s * 1e3:g} ms")


def _settle(
    future: asyncio.Future[T], finish: Callable[[Reply | FrameRefused], T], clock: Clock, job: Job
) -> Callable[[], None]:
    """A function for the event loop that completes the future with the result of ``finish``, or with its error."""
    try:
        result = finish(job.refusal or _reply(job, clock()))
    except Exception as error:
        return partial(_unless_done, future, future.set_exception, error)
    return partial(_unless_done, future, future.set_result, result)


def _unless_done(future: asyncio.Future[Any], settle: Callable[[Any], None], value: object) -> None:
    if not future.done():
        settle(value)


def _call_all(settled: Iterable[Callable[[], None]]) -> None:
    for settle in settled:
        settle()


def _reply(job: Job, now_s: float) -> Reply:
    """The answer with its durations. ``now_s`` and ``received_s`` use the same clock."""
    total_s = now_s - job.received_s
    queue_s = max(total_s - job.decode_s - job.suffix_s, 0.0)
    return Reply(answer_frame(job.route, job.frame, job.live()), Durations(queue_s, job.decode_s, job.suffix_s))
