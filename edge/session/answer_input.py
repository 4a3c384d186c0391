"""Answers the frames of ``--input``: reads them, queues them if reading is slow, and counts the results.

The command lines use this module. A program that uses Session supplies its own frames (see ``opened``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from time import perf_counter

from partway.edge.options import Options, OutputOptions
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.run_json import RunReport
from partway.edge.report.statistics import Results
from partway.edge.session.run import Ready
from partway.edge.sources.files import Item, Sample
from partway.edge.sources.frame_queue import FrameQueue
from partway.edge.sources.open_inputs import RunInput
from partway.edge.sources.originals import with_picture, without_picture
from partway.errors import InputError
from partway.partitioner.plan.answer import AnswerReader

SLOW_READ_S = 1e-3
"""If reading a frame takes longer, a thread reads ahead, so that an answer is not reported a read too late."""


def new_run_report(ready: Ready, options: Options, keep_frames: bool = True) -> RunReport:
    """An empty record of a run. Without ``keep_frames``, frames are counted and timed but not stored."""
    decision, pipeline = ready.decision, ready.pipeline
    return RunReport(
        ready.opened.chain.plan,
        ready.opened.engine.name,
        decision,
        Results(keep_frames),
        notes=options.notes,
        changes=pipeline.controller.changes,
        audits=pipeline.audits,
    )


def readable(
    items: Iterable[Item],
    report: Callable[[InputError], None],
    frame_read: Callable[[], None] = lambda: None,
    ended: Callable[[], bool] = lambda: False,
    pictures: bool = False,
) -> Iterator[Sample]:
    """Yield every item that can be read, until ``ended``. Items that cannot be read are reported and skipped.

    ``pictures``: samples keep their original pictures, to draw on. Otherwise those would only take memory.
    """
    for item in items:
        if ended():
            return
        try:
            sample = item.read()
        except InputError as error:
            report(error)
        else:
            frame_read()
            yield with_picture(sample) if pictures else without_picture(sample)


@contextmanager
def saving(
    ready: Ready, output: OutputOptions, inputs: Sequence[str]
) -> Iterator[Callable[[FrameResult], FrameResult]]:
    """Yield what writes the files of a result. Without ``--save-…`` it does nothing."""
    if not output.saves:
        yield lambda result: result
        return
    from partway.edge.report.saved_files import SavedFiles, started_prefix

    task, prefix = AnswerReader(ready.opened.chain.plan).task, started_prefix() if output.service else ""
    with SavedFiles(output.save_outputs, output.save_pictures, task, inputs, prefix) as files:
        yield files.add


def queue_policy(run_input: RunInput, options: Options) -> str | None:
    """The policy of the queue between source and runner; None if frames are read one by one, without a queue."""
    queued = run_input.live or run_input.read_s > SLOW_READ_S or options.when_behind != "block"
    return options.when_behind if queued else None


def answer_input(
    ready: Ready,
    run_report: RunReport,
    samples: Iterator[Sample],
    policy: str | None,
    answered: Callable[[FrameResult], None],
    on_end: Callable[[Callable[[], None]], None] = lambda _: None,
    save: Callable[[FrameResult], FrameResult] = lambda result: result,
) -> None:
    """Answer every sample and add the results to ``run_report``. An interrupted run keeps the results it has.

    ``save`` gets each result first, and returns it with the names of its files.
    ``on_end`` receives a function that ends reading at once; a signal handler may call it.
    """
    begun_s = perf_counter()
    with nullcontext(samples) if policy is None else FrameQueue(samples, policy) as source:
        on_end(source.end if isinstance(source, FrameQueue) else lambda: None)
        try:
            for answer in ready.pipeline.answers(source):
                result = save(answer)
                run_report.results.add(result)
                answered(result)
        except KeyboardInterrupt:
            run_report.interrupted = True
        run_report.dropped = source.dropped if isinstance(source, FrameQueue) else 0
    run_report.wall_s = perf_counter() - begun_s
