"""The queue of one device: frames in fair order, and what runs next. No threads; the clock is passed in.

Order is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM'96): each stream's frames are tagged with the seconds
of work that the stream has requested, so that a stream that floods the cloud delays only itself.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from partway.cloud.batching.batch_size import BatchSpeedup
from partway.cloud.batching.scheduler import (
    BatchLimits,
    BatchRun,
    Mode,
    ModelState,
    QueuedFrame,
    Wait,
    decide,
    expired,
    refuse,
)

ACTIVE_S = 1.0
"""A stream is active for this long after its last frame."""
GAP_WEIGHT = 0.2
CLEAN_RUNS = 256
"""After this many successful batches, a model that ran out of memory may run larger ones again."""
MANY_STREAMS = 1024


@dataclass(slots=True)
class ModelUse:
    """Use of one model: who sends frames and how often, what batches cost, how many rows fit into memory."""

    speedup: BatchSpeedup
    suffix_s: tuple[float, ...]
    buckets: tuple[int, ...] = ()
    fits: int | None = None
    clean: int = 0
    gap_s: float = 1.0
    last_s: float = 0.0
    last_frame_s: dict[Hashable, float] = field(default_factory=dict)

    def arrived(self, stream: Hashable, now_s: float) -> None:
        """A frame arrived."""
        gap_s = min(max(now_s - self.last_s, 0.0), 1.0)
        self.gap_s += GAP_WEIGHT * (gap_s - self.gap_s)
        self.last_s = now_s
        self.last_frame_s[stream] = now_s
        if len(self.last_frame_s) > MANY_STREAMS:
            self.active(now_s)

    def active(self, now_s: float) -> int:
        """The number of streams that sent a frame recently."""
        self.last_frame_s = {stream: at for stream, at in self.last_frame_s.items() if now_s - at < ACTIVE_S}
        return len(self.last_frame_s)

    def state(self, now_s: float, limits: BatchLimits) -> ModelState:
        """The input of a decision. The preferred sizes of engines are respected; other sizes are measured first."""
        largest = min(limits.max_batch, max(self.buckets, default=limits.max_batch))
        most, row_cost = self.speedup.best(largest)
        if self.buckets:
            most = largest
        most = most if self.fits is None else min(most, self.fits)
        return ModelState(self.suffix_s, most, row_cost, self.gap_s, self.active(now_s), bool(self.buckets))

    def learn(self, run: BatchRun, seconds: float) -> None:
        """A batch succeeded."""
        self.speedup.learn(run.first, run.last, sum(entry.rows for entry in run.batch), seconds)
        self.clean += 1
        if self.fits is not None and self.clean % CLEAN_RUNS == 0:
            self.fits *= 2

    def too_large(self, rows: int) -> None:
        """A batch of ``rows`` rows did not fit into memory."""
        self.fits, self.clean = max(1, rows // 2), 0


class Queue:
    """The waiting and the running frames. ``models``: the seconds of every suffix, and the engine's preferred sizes."""

    def __init__(
        self,
        limits: BatchLimits,
        models: Mapping[str, tuple[Sequence[float], Sequence[int]]],
        clock: Callable[[], float],
    ) -> None:
        self.limits = limits
        self.clock = clock
        self.entries: list[QueuedFrame] = []
        self.uses = {name: ModelUse(BatchSpeedup(s), tuple(s), tuple(buckets)) for name, (s, buckets) in models.items()}
        self._running: tuple[QueuedFrame, ...] = ()
        self._virtual_s = 0.0
        self._requested_s: dict[Hashable, float] = {}

    @property
    def size_bytes(self) -> int:
        """Bytes of the waiting frames."""
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def ahead_s(self) -> float:
        """Expected seconds that a frame arriving now would wait for the frames before it."""
        ahead = (*self.entries, *self._running)
        if len(ahead) < 2 or self.limits.mode is Mode.NONE:
            return sum(entry.cost_s for entry in ahead)
        row_cost = {name: self.uses[name].speedup.best(self.limits.max_batch)[1] for name in {e.model for e in ahead}}
        return sum(entry.cost_s * (row_cost[entry.model] if entry.joins else 1.0) for entry in ahead)

    def put(self, entry: QueuedFrame) -> list[QueuedFrame]:
        """Queue a frame. Returns the frames that are dropped for it, possibly this frame itself."""
        now_s = self.clock()
        self.uses[entry.model].arrived(entry.stream, now_s)
        dropped = refuse(self.entries, entry, self.limits)
        for other in dropped:
            self.remove(other)
        if entry not in dropped:
            entry.tag = max(self._virtual_s, self._requested_s.get(entry.stream, 0.0))
            self._requested_s[entry.stream] = entry.tag + entry.cost_s
            self._insert(entry)
        return dropped

    def _insert(self, entry: QueuedFrame) -> None:
        insort(self.entries, entry, key=lambda other: other.tag)

    def remove(self, entry: QueuedFrame) -> bool:
        """Remove a waiting frame. Returns whether it was in the queue."""
        if entry in self.entries:
            self.entries.remove(entry)
            return True
        return False

    def expire(self) -> list[QueuedFrame]:
        """Remove and return the frames whose deadline has passed."""
        late = expired(self.entries, self.clock())
        for entry in late:
            self.entries.remove(entry)
        return late

    def next(self) -> BatchRun | Wait:
        """What to do now. Frames that are to run leave the queue; :meth:`done` returns the unfinished ones to it."""
        now_s = self.clock()
        if len(self.entries) == 1 and self.uses[self.entries[0].model].active(now_s) <= 1:
            (only,) = self.entries  # a single device: there is nothing to decide
            lone = BatchRun((only,), only.stage, len(self.uses[only.model].suffix_s) - 1, (only,))
            self._begin(lone)
            return lone
        states = {name: self.uses[name].state(now_s, self.limits) for name in {e.model for e in self.entries}}
        step = decide(self.entries, now_s, self.limits, states)
        if isinstance(step, BatchRun):
            self._begin(step)
        return step

    def _begin(self, run: BatchRun) -> None:
        for entry in run.cohort:
            entry.carried = True
        self._running, out = run.batch, set(run.batch)
        self.entries = [entry for entry in self.entries if entry not in out]
        self._virtual_s = max(self._virtual_s, *(entry.tag for entry in run.batch))
        if len(self._requested_s) > MANY_STREAMS:
            self._requested_s = {stream: at for stream, at in self._requested_s.items() if at > self._virtual_s}

    def done(self, entries: Sequence[QueuedFrame], stage: int, last: bool) -> None:
        """The run has ended. These frames now wait for ``stage``, or with ``last`` are finished; others are dropped."""
        self._running = ()
        for entry in entries:
            entry.stage = stage
            if not last:
                self._insert(entry)

    def put_back(self, entries: Sequence[QueuedFrame]) -> None:
        """Return frames that did not run after all to the queue."""
        for entry in entries:
            entry.carried = False
            self._insert(entry)
