"""Run one step of a batch: join the frames' values, run the stages, split the rows by frame. No threads.

A batch that fails runs again frame by frame, so that one bad frame does not fail the others. A batch that does not fit
into memory runs in halves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from partway.cloud.answer import FrameRefused, Route, decode, log_refused_run
from partway.cloud.batching.scheduler import BatchRun, QueuedFrame
from partway.cloud.models.repository import ServedModel
from partway.engines.interface import OutOfMemory
from partway.errors import InputError, WireError
from partway.proto.frame import Frame

log = logging.getLogger("partway.cloud")
Array = np.ndarray[Any, Any]
NO_ROOM = "the cloud has no memory for a frame of {rows} samples from this cut; send fewer at once or split later"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows ``start`` to ``stop`` of arrays that hold ``total`` rows."""

    values: Mapping[str, Array]
    start: int
    stop: int
    total: int

    def of(self, name: str) -> Array:
        """One value of these rows, as a view."""
        array = self.values[name]
        return array if self.stop - self.start == self.total else array[self.start : self.stop]


@dataclass(slots=True, eq=False)
class Job(QueuedFrame):
    """A queued frame with its request and its intermediate values.

    ``at`` holds its values before the next stage; ``outputs`` holds the model outputs that earlier stages made.
    ``settle`` makes the answer, and returns a function for the event loop to call.
    """

    route: Route = field(kw_only=True)
    frame: Frame = field(kw_only=True)
    settle: Callable[[Job], Callable[[], None]] = field(kw_only=True)
    at: Rows | None = None
    outputs: dict[str, Array] = field(default_factory=dict)
    decode_s: float = 0.0
    suffix_s: float = 0.0
    refusal: FrameRefused | None = None
    given_up: bool = False

    def live(self) -> dict[str, Array]:
        """All current values of the frame."""
        assert self.at is not None
        return {**self.outputs, **{name: self.at.of(name) for name in self.at.values}}


def as_refusal(error: Exception, job: Job) -> FrameRefused:
    """The refusal that the device gets. Unexpected errors are logged, and their details are not sent."""
    if isinstance(error, FrameRefused):
        return error
    if isinstance(error, WireError | InputError):
        return FrameRefused("INVALID_ARGUMENT", str(error))
    if isinstance(error, OutOfMemory | MemoryError):
        return FrameRefused("RESOURCE_EXHAUSTED", NO_ROOM.format(rows=job.rows))
    log.error("frame %r of %s failed", job.frame.id[:80], job.model, exc_info=error)
    return FrameRefused("INTERNAL", "the cloud failed on this frame; its log says why")


def decoded(job: Job) -> bool:
    """Decode the frame's tensors and set its rows. Returns False, with ``job.refusal`` set, if that fails."""
    try:
        values = decode(job.route, job.frame)
    except Exception as error:
        job.refusal = as_refusal(error, job)
        return False
    rows = {array.shape[0] if array.ndim else 0 for array in values.values()} if job.joins else {1}
    if len(rows) == 1:
        (job.rows,) = rows
    else:
        job.joins, job.rows = False, 1
    job.at = Rows(values, 0, job.rows, job.rows)
    return True


def run_batch(model: ServedModel, run: BatchRun, batch: Sequence[Job], too_large: Callable[[int], None]) -> list[Job]:
    """Run stages of decoded frames. Returns the frames that succeeded; the others have their refusal set."""
    try:
        _run_together(model, run.first, run.last, batch, too_large)
        return list(batch)
    except Exception as error:
        if len(batch) == 1:
            batch[0].refusal = as_refusal(error, batch[0])
            if isinstance(error, InputError):
                log_refused_run(model.plan.model, str(error))
            return []
        if not isinstance(error, OutOfMemory | MemoryError | InputError):
            log.warning("%d frames of %s failed together, running one by one: %s", len(batch), model.plan.model, error)
        return [done for job in batch for done in run_batch(model, run, [job], too_large)]


def _run_together(
    model: ServedModel, first: int, last: int, batch: Sequence[Job], too_large: Callable[[int], None]
) -> None:
    if not all(_same_shapes(batch[0], job) for job in batch[1:]):
        raise InputError("the frames differ in more than their number of samples")
    at = [job.at for job in batch if job.at is not None]
    alone = len(batch) == 1 and not batch[0].joins
    names = list(at[0].values) if alone else model.plan.cuts[first].values
    rows = sum(job.rows for job in batch)
    values = joined(at, names, _join(model))
    live = model.chain.run(values, first, last) if alone else _run_in_parts(model, values, rows, first, last, too_large)
    if len(batch) > 1 and any(array.shape[:1] != (rows,) for array in live.values()):
        raise ValueError(f"{rows} rows went in and another number came out of stages {first} to {last - 1}")
    if last == len(model.plan.stages):
        live = _fetch(model, live)
    at_cut = live if alone else {name: live[name] for name in model.plan.cuts[last].values}
    early = {name for name in model.plan.outputs if name in live and name not in at_cut}
    start = 0
    for job in batch:
        stop = start + job.rows
        job.outputs.update({name: Rows(live, start, stop, rows).of(name) for name in early})
        if last == len(model.plan.stages):
            job.outputs = dict(_fetch(model, job.outputs))
        job.at = Rows(at_cut, start, stop, rows)
        start = stop


def _same_shapes(first: Job, second: Job) -> bool:
    """Whether two frames' values have the same shape, except for the first dimension."""
    assert first.at is not None and second.at is not None
    a, b = first.at.values, second.at.values
    return a is b or all(array.shape[1:] == b[name].shape[1:] for name, array in a.items() if name in b)


def _run_in_parts(
    model: ServedModel, values: Mapping[str, Array], rows: int, first: int, last: int, too_large: Callable[[int], None]
) -> Mapping[str, Array]:
    """The live values; computed in halves if memory is short. Raises OutOfMemory if one row does not fit."""
    advance = model.chain.run if last == len(model.plan.stages) else getattr(model.chain, "advance", model.chain.run)
    try:
        live: Mapping[str, Array] = advance(values, first, last)
        return live
    except (OutOfMemory, MemoryError):
        too_large(rows)
        if rows == 1:
            raise
        halves = ((0, rows // 2), (rows // 2, rows))
        parts = [
            _run_in_parts(model, {n: a[start:stop] for n, a in values.items()}, stop - start, first, last, too_large)
            for start, stop in halves
        ]
        return {name: _join(model)([part[name] for part in parts]) for name in parts[0]}


def joined(at: Sequence[Rows], names: Iterable[str], join: Callable[[list[Array]], Array]) -> dict[str, Array]:
    """The values of all these rows, concatenated; neighbours in the same arrays are not copied."""
    merged: list[Rows] = []
    for rows in at:
        before = merged[-1] if merged else None
        if before is not None and before.values is rows.values and before.stop == rows.start:
            merged[-1] = Rows(rows.values, before.start, rows.stop, rows.total)
        else:
            merged.append(rows)
    if len(merged) == 1:
        return {name: merged[0].of(name) for name in names}
    return {name: join([rows.of(name) for rows in merged]) for name in names}


def _join(model: ServedModel) -> Callable[[list[Array]], Array]:
    """The function that concatenates arrays; an engine with values on its own device supplies one."""
    return getattr(model.chain, "join", np.concatenate)


def _fetch(model: ServedModel, live: Mapping[str, Array]) -> Mapping[str, Array]:
    """Copy the values to main memory if the engine keeps them on its device."""
    fetch: Callable[[Mapping[str, Array]], Mapping[str, Array]] | None = getattr(model.chain, "fetch", None)
    return live if fetch is None else fetch(live)
