"""Run one step of a batch: join the frames' values, run the stages, give each frame its own rows. No threads.

A batch that fails is run again frame by frame, so that no frame suffers for another; one that does not fit into memory
is run in halves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from partway.cloud.answer import FrameRefused, Route, decode
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
    """Rows ``start`` to ``stop`` of values that ``whole`` rows share."""

    values: Mapping[str, Array]
    start: int
    stop: int
    whole: int

    def of(self, name: str) -> Array:
        """One value of these rows; never copied."""
        array = self.values[name]
        return array if self.stop - self.start == self.whole else array[self.start : self.stop]


@dataclass(slots=True, eq=False)
class Job(QueuedFrame):
    """A frame in the queue with what it came as and what is made of it.

    ``at`` holds its values before the next stage, ``outputs`` what earlier stages made for the answer alone. ``settle``
    makes the answer of it and returns what remains to be done on the event loop.
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
        """All values it has."""
        assert self.at is not None
        return {**self.outputs, **{name: self.at.of(name) for name in self.at.values}}


def as_refusal(error: Exception, job: Job) -> FrameRefused:
    """What the device is told. What nobody foresaw is logged and gives nothing away."""
    if isinstance(error, FrameRefused):
        return error
    if isinstance(error, WireError | InputError):
        return FrameRefused("INVALID_ARGUMENT", str(error))
    if isinstance(error, OutOfMemory | MemoryError):
        return FrameRefused("RESOURCE_EXHAUSTED", NO_ROOM.format(rows=job.rows))
    log.error("frame %r of %s failed", job.frame.id[:80], job.model, exc_info=error)
    return FrameRefused("INTERNAL", "the cloud failed on this frame; its log says why")


def decoded(job: Job) -> bool:
    """Whether the frame's tensors could be decoded; else the frame has its refusal. Sets the number of rows."""
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
    """Run stages of frames that are decoded. Returns those that are well; the others have their refusal."""
    try:
        _together(model, run.first, run.last, batch, too_large)
        return list(batch)
    except Exception as error:
        if len(batch) == 1:
            batch[0].refusal = as_refusal(error, batch[0])
            return []
        if not isinstance(error, OutOfMemory | MemoryError | InputError):
            log.warning("%d frames of %s failed together, running one by one: %s", len(batch), model.plan.model, error)
        return [well for job in batch for well in run_batch(model, run, [job], too_large)]


def _together(
    model: ServedModel, first: int, last: int, batch: Sequence[Job], too_large: Callable[[int], None]
) -> None:
    if not all(_like(batch[0], job) for job in batch[1:]):
        raise InputError("the frames differ in more than their number of samples")
    at = [job.at for job in batch if job.at is not None]
    alone = len(batch) == 1 and not batch[0].joins
    names = list(at[0].values) if alone else model.plan.cuts[first].values
    rows = sum(job.rows for job in batch)
    values = joined(at, names, _join(model))
    live = model.chain.run(values, first, last) if alone else _fitting(model, values, rows, first, last, too_large)
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


def _like(one: Job, other: Job) -> bool:
    """Whether two frames' values have the same shape but for their first dimension."""
    assert one.at is not None and other.at is not None
    ours, theirs = one.at.values, other.at.values
    return ours is theirs or all(a.shape[1:] == theirs[name].shape[1:] for name, a in ours.items() if name in theirs)


def _fitting(
    model: ServedModel, values: Mapping[str, Array], rows: int, first: int, last: int, too_large: Callable[[int], None]
) -> Mapping[str, Array]:
    """The live values; in halves where the whole finds no memory. Raises OutOfMemory when one row does not."""
    advance = model.chain.run if last == len(model.plan.stages) else getattr(model.chain, "advance", model.chain.run)
    try:
        made: Mapping[str, Array] = advance(values, first, last)
        return made
    except (OutOfMemory, MemoryError):
        too_large(rows)
        if rows == 1:
            raise
        halves = ((0, rows // 2), (rows // 2, rows))
        parts = [
            _fitting(model, {n: a[start:stop] for n, a in values.items()}, stop - start, first, last, too_large)
            for start, stop in halves
        ]
        return {name: _join(model)([part[name] for part in parts]) for name in parts[0]}


def joined(at: Sequence[Rows], names: Iterable[str], join: Callable[[list[Array]], Array]) -> dict[str, Array]:
    """The values of all these rows one after the other; neighbours that were together already are not copied."""
    merged: list[Rows] = []
    for rows in at:
        before = merged[-1] if merged else None
        if before is not None and before.values is rows.values and before.stop == rows.start:
            merged[-1] = Rows(rows.values, before.start, rows.stop, rows.whole)
        else:
            merged.append(rows)
    if len(merged) == 1:
        return {name: merged[0].of(name) for name in names}
    return {name: join([rows.of(name) for rows in merged]) for name in names}


def _join(model: ServedModel) -> Callable[[list[Array]], Array]:
    """Arrays one after the other; an engine whose values stay on its device has its own way."""
    return getattr(model.chain, "join", np.concatenate)


def _fetch(model: ServedModel, live: Mapping[str, Array]) -> Mapping[str, Array]:
    """The values in this machine's memory, from an engine that keeps them on its device."""
    fetch: Callable[[Mapping[str, Array]], Mapping[str, Array]] | None = getattr(model.chain, "fetch", None)
    return live if fetch is None else fetch(live)
