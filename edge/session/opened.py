"""An open model: it answers the inputs that a program gives it, one or many.

It opens, measures and chooses as edge-run does (``Run``); only the source of frames and the use of answers differ.
The thread that uses a cloud also drives its connection, so a session belongs to one thread of one process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import Change
from partway.edge.options import Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.terminal import Report
from partway.edge.session.run import Run
from partway.edge.sources.files import Sample
from partway.edge.sources.frame_queue import Arrivals
from partway.edge.sources.originals import without_picture
from partway.edge.sources.samples import sample_of
from partway.partitioner.plan.plan import Plan

if TYPE_CHECKING:
    from partway.edge.sources.samples import Input


class OpenSession:
    """A model ready to infer, for the thread that opened it. ``close`` or the end of ``with`` ends it.

    It changes nothing that belongs to the whole process: no signals, no logging set-up, no environment.
    """

    def __init__(self, options: Options) -> None:
        self._process, self._thread = os.getpid(), threading.get_ident()
        self._run = Run(options, Report(quiet=True))
        try:
            ready = self._run.open()
        except BaseException:
            self._run.close()
            raise
        self._pipeline = ready.pipeline
        self.plan: Plan = ready.opened.chain.plan
        """The plan in use: stages, cuts, tensors, and how pictures become tensors."""
        self.decision: Decision = ready.decision
        """The candidates, the one chosen on opening, and the reason."""
        self.changes: Sequence[Change] = ready.pipeline.controller.changes
        """Every later change of the choice, with its first frame and its reason; grows while frames flow."""
        self._next_id = 0
        self._begins = False
        self._running: Iterator[FrameResult] | None = None
        self._closed = False

    def infer(self, value: Input) -> FrameResult:
        """The answer to one picture (Pillow, uint8 array, path) or to the model's input tensors.

        ``answered_by`` is ``cloud``, ``device``, or ``nobody`` for a frame without an answer and without ``outputs``.
        Raises InputError if the input does not fit the model.
        """
        (result,) = self.run([value])
        return result

    def run(self, inputs: Iterable[Input]) -> Iterator[FrameResult]:
        """Yield the answers to all inputs, in order, with several in flight at once. Inputs are read on demand.

        An input that cannot be read raises its InputError after the answers to those before it. A new ``run`` ends an
        earlier one that was not read to its end.
        """
        self._check()
        self._end()
        self._running = self._answers(inputs)
        return self._running

    def reset(self) -> None:
        """Begin a new sequence: the next frame starts from the model's initial state, like the first one.

        It changes nothing for a model without state between frames.
        """
        self._check()
        self._begins = True

    def _begun(self, sample: Sample) -> Sample:
        """The next frame, marked if a new sequence begins with it."""
        begins, self._begins = self._begins, False
        return replace(sample, begins=True) if begins else sample

    def _answers(self, inputs: Iterable[Input]) -> Iterator[FrameResult]:
        source = _Source(inputs, self.plan, self._next_id, self._begun)
        results = self._pipeline.answers(source, self._next_id)
        try:
            yield from results
        finally:
            source.ended = True
            for _ in results:  # the caller stopped early: wait for the frames in flight and drop them
                pass
            self._next_id = source.next_id
        if source.error is not None:
            raise source.error

    def answers(self, arrivals: Arrivals) -> Iterator[FrameResult]:
        """Yield the answers to frames as they arrive, in order. The caller must read it to its end."""
        self._check()
        self._end()
        for result in self._pipeline.answers(arrivals, self._next_id):
            self._next_id = result.id + 1
            yield result

    def _end(self) -> None:
        if self._running is not None:
            self._running.close()  # type: ignore[attr-defined]
            self._running = None

    def close(self) -> None:
        """End the stream, the connection, and the embedded cloud if this session started one."""
        if not self._closed and not forked(self._process):  # in a forked process the session belongs to the parent
            self._check()
            self._end()
            self._closed = True
            self._run.close()

    def _check(self) -> None:
        if self._closed:
            raise RuntimeError("this session is closed")
        check_process(self._process)
        if threading.get_ident() != self._thread:
            raise RuntimeError("a session is for the thread that opened it; `async with` gives one for an event loop")


def forked(process: int) -> bool:
    """Whether this process is another one than ``process``."""
    return os.getpid() != process


def check_process(process: int) -> None:
    """Raise RuntimeError in a process that was forked from the one that opened a session."""
    if forked(process):
        raise RuntimeError(
            f"this session belongs to process {process}, from which this one was forked; open another in this process,"
            " and use multiprocessing's spawn where the parent uses a cloud"
        )


class _Source:
    """Inputs as samples. The first one that cannot be read ends them, and ``error`` keeps its exception."""

    def __init__(
        self,
        inputs: Iterable[Input],
        plan: Plan,
        next_id: int,
        begun: Callable[[Sample], Sample] = lambda sample: sample,
    ) -> None:
        self._inputs, self._plan, self._begun = iter(inputs), plan, begun
        self.next_id = next_id
        self.ended = False
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Sample]:
        return self

    def __next__(self) -> Sample:
        if self.ended:
            raise StopIteration
        try:
            value = next(self._inputs)
            sample = self._begun(without_picture(sample_of(value, self._plan, f"frame {self.next_id}")))
        except StopIteration:
            self.ended = True
            raise
        except Exception as error:  # includes errors of the caller's own iterator; all are raised again to the caller
            self.ended, self.error = True, error
            raise StopIteration from error
        self.next_id += 1
        return sample
