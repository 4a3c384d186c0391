"""Answers the frames of ``--input``: reads them, queues them where reading takes long, and counts the results.

This is what the command lines do with a run that is ready; a program has its own frames (see ``opened``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from time import perf_counter

from partway.edge.options import Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.run_json import RunReport
from partway.edge.report.statistics import Results
from partway.edge.session.run import Ready
from partway.edge.sources.files import Item, Sample
from partway.edge.sources.frame_queue import FrameQueue
from partway.edge.sources.open_inputs import RunInput
from partway.errors import InputError

SLOW_READ_S = 1e-3
"""Where reading a frame takes longer, a thread reads ahead: answers are timed when they come, not a read later."""


def new_run_report(ready: Ready, options: Options, keep_frames: bool = True) -> RunReport:
    """The record of a run, to which its frames are added. Without ``keep_frames`` they are only counted and timed."""
    decision, parts = ready.decision, ready.pipeline
    return RunReport(
        ready.opened.chain.plan,
        ready.opened.engine.name,
        decision,
        Results(keep_frames),
        notes=options.notes,
        changes=parts.controller.changes,
        audits=parts.audits,
    )


def readable(
    items: Iterable[Item],
    report: Callable[[InputError], None],
    frame_read: Callable[[], None] = lambda: None,
    ended: Callable[[], bool] = lambda: False,
) -> Iterator[Sample]:
    """Every item that can be read, until ``ended``; the others are reported and do not cost the rest their answers."""
    for item in items:
        if ended():
            return
        try:
            sample = item.read()
        except InputError as error:
            report(error)
        else:
            frame_read()
            yield sample


def queue_policy(work: RunInput, options: Options) -> str | None:
    """The policy of the queue between source and runner; None where each frame is read when its turn comes."""
    apart = work.waits or work.read_s > SLOW_READ_S or options.when_behind != "block"
    return options.when_behind if apart else None


def answer_input(
    ready: Ready,
    run_report: RunReport,
    samples: Iterator[Sample],
    policy: str | None,
    answered: Callable[[FrameResult], None],
    on_end: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Answer every sample and add the results to ``run_report``. An interrupted run keeps what was answered before.

    ``on_end`` is given what ends the reading at once, from a signal's handler too.
    """
    begun_s = perf_counter()
    with nullcontext(samples) if policy is None else FrameQueue(samples, policy) as source:
        on_end(source.end if isinstance(source, FrameQueue) else lambda: None)
        try:
            for result in ready.pipeline.answers(source):
                run_report.results.add(result)
                answered(result)
        except KeyboardInterrupt:
            run_report.interrupted = True
        run_report.dropped = source.dropped if isinstance(source, FrameQueue) else 0
    run_report.wall_s = perf_counter() - begun_s
