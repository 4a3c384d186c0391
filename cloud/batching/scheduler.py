"""Decides what runs next: a pure function of the queue and the clock. ``worker`` drives it.

Frames of one model run together wherever they stand at the same stage, whichever cut they entered at: a *cohort* of
frames is chosen in order of fairness, those that entered early are brought forward, and the others join on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

CATCH_UP_S = 0.02
"""Frames at a late stage may wait this long for others to catch up, or for as long as their own stages take."""


class Mode(StrEnum):
    """Which frames may run together: all of a model, those of one cut only, or none."""

    ACROSS = "across"
    PER_CUT = "per-cut"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The operator's limits: samples per batch, seconds a frame waits for others, frames and bytes in the queue."""

    mode: Mode = Mode.ACROSS
    max_batch: int = 16
    max_wait_s: float = 2e-3
    max_queue: int = 512
    max_bytes: int = 1 << 29


@dataclass(slots=True, eq=False)
class QueuedFrame:
    """A frame in the queue: it entered at cut ``k`` and waits for ``stage``.

    ``deadline_s`` is on the queue's clock; ``cost_s``: seconds of its suffix alone. ``joins`` is False if the model
    takes one frame at a time. ``tag`` is its place in the fair order; ``carried`` marks the running cohort.
    """

    model: str
    stream: Hashable
    k: int
    received_s: float
    deadline_s: float = inf
    rows: int = 1
    size_bytes: int = 0
    cost_s: float = 0.0
    joins: bool = True
    stage: int = field(init=False)
    tag: float = field(default=0.0, init=False)
    carried: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.stage = self.k

    @property
    def begun(self) -> bool:
        """Whether one of its stages has run; such a frame is always finished."""
        return self.stage > self.k


@dataclass(frozen=True, slots=True)
class ModelState:
    """The state of a model for a decision: the seconds of its suffixes, the most rows that pay, and its use.

    ``row_cost``: cost of a row in a batch of ``most``, relative to a row alone. ``gap_s``: mean time between frames.
    ``streams``: number of devices that sent one recently. ``fuses``: the engine runs several stages at once faster than
    one by one.
    """

    suffix_s: tuple[float, ...]
    most: int = 16
    row_cost: float = 1.0
    gap_s: float = inf
    streams: int = 1
    fuses: bool = False

    @property
    def stages(self) -> int:
        """The number of stages."""
        return len(self.suffix_s) - 1

    def seconds(self, first: int, last: int, rows: int) -> float:
        """Expected seconds of ``rows`` rows from stage ``first`` to ``last``."""
        return (self.suffix_s[first] - self.suffix_s[last]) * rows * (self.row_cost if rows > 1 else 1.0)


@dataclass(frozen=True, slots=True)
class BatchRun:
    """Run stages ``first`` to ``last`` (exclusive) of these frames; ``cohort`` runs on to the end."""

    batch: tuple[QueuedFrame, ...]
    first: int
    last: int
    cohort: tuple[QueuedFrame, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to do for ``seconds`` (infinite for an empty queue), unless a frame arrives."""

    seconds: float


def decide(
    queue: Sequence[QueuedFrame], now_s: float, limits: BatchLimits, states: Mapping[str, ModelState]
) -> BatchRun | Wait:
    """What to run now. ``queue`` is in the order of tags and holds no expired frame."""
    carried = [entry for entry in queue if entry.carried]
    if carried:
        return _step(queue, carried, now_s, limits, states[carried[0].model])
    wait_s, considered = inf, set()
    for lead in queue:
        if lead.model in considered:
            continue
        considered.add(lead.model)
        state = states[lead.model]
        cohort = _fill([lead], queue, state.most, limits.mode)
        pause_s = _pause_s(cohort, now_s, limits, state)
        if pause_s <= 0:
            return _step(queue, cohort, now_s, limits, state)
        wait_s = min(wait_s, pause_s)
    return Wait(wait_s)


def _fill(chosen: list[QueuedFrame], queue: Iterable[QueuedFrame], most: int, mode: Mode) -> list[QueuedFrame]:
    """``chosen`` and further frames in order, as long as they fit and may run with the first."""
    lead, filled, rows, members = chosen[0], list(chosen), sum(entry.rows for entry in chosen), set(chosen)
    if mode is Mode.NONE or not lead.joins:
        return filled
    for entry in queue:
        if rows >= most:
            break
        if entry.model != lead.model or not entry.joins or entry in members or rows + entry.rows > most:
            continue
        if mode is Mode.ACROSS or entry.k == lead.k:
            filled.append(entry)
            rows += entry.rows
    return filled


def _pause_s(cohort: Sequence[QueuedFrame], now_s: float, limits: BatchLimits, state: ModelState) -> float:
    """How long to wait for other frames: only if one is likely to arrive in time, and never past a deadline."""
    others = state.streams - len({entry.stream for entry in cohort})
    full = sum(entry.rows for entry in cohort) >= state.most
    if full or others <= 0 or state.gap_s > limits.max_wait_s or limits.mode is Mode.NONE or not cohort[0].joins:
        return 0.0
    until_s = min(entry.received_s + min(limits.max_wait_s, entry.cost_s) for entry in cohort)
    return min([until_s, *(entry.deadline_s - entry.cost_s for entry in cohort)]) - now_s


def _step(
    queue: Sequence[QueuedFrame], cohort: Sequence[QueuedFrame], now_s: float, limits: BatchLimits, state: ModelState
) -> BatchRun:
    """The next stages of a cohort, with the other frames that can join."""
    if limits.mode is not Mode.ACROSS or not cohort[0].joins:
        return BatchRun(tuple(cohort), cohort[0].stage, state.stages, tuple(cohort))
    first = _next_stage(cohort, now_s, state)
    same_stage = [entry for entry in queue if entry.stage == first]
    batch = _fill([entry for entry in cohort if entry.stage == first], same_stage, state.most, limits.mode)
    model = cohort[0].model
    ahead = [entry.stage for entry in queue if entry.stage > first and entry.model == model and entry.joins]
    last = min([*ahead, state.stages])
    if state.streams > 1 and not state.fuses:
        last = first + 1  # a frame that arrives meanwhile could join there
    return BatchRun(tuple(batch), first, last, tuple(cohort))


def _next_stage(cohort: Sequence[QueuedFrame], now_s: float, state: ModelState) -> int:
    """The lowest stage of the cohort, unless frames at later stages would wait too long for the others."""
    rows: Counter[int] = Counter()
    for entry in cohort:
        rows[entry.stage] += entry.rows
    stages = sorted(rows)
    for stage in reversed(stages[1:]):
        behind = sum(rows[other] for other in stages if other < stage)
        catch_up_s = state.seconds(stages[0], stage, behind)
        remaining_s = state.seconds(stage, state.stages, rows[stage])
        latest_s = min(entry.deadline_s for entry in cohort if entry.stage == stage)
        if catch_up_s > max(remaining_s, CATCH_UP_S) or now_s + catch_up_s + remaining_s > latest_s:
            return stage
    return stages[0]


def expired(queue: Iterable[QueuedFrame], now_s: float) -> list[QueuedFrame]:
    """The frames that have not begun and whose deadline has passed."""
    return [entry for entry in queue if now_s > entry.deadline_s and not entry.begun]


def refuse(queue: Sequence[QueuedFrame], entry: QueuedFrame, limits: BatchLimits) -> list[QueuedFrame]:
    """Which frames to drop so that ``entry`` can be queued; ``[entry]`` if its own stream fills the queue.

    The last frames of the stream with most frames are dropped first (longest queue drop, Suter et al., INFOCOM'98). A
    frame of any size is accepted if the queue is empty.
    """
    dropped: list[QueuedFrame] = []
    while remaining := [other for other in queue if other not in dropped]:
        too_many = len(remaining) >= limits.max_queue
        if not too_many and sum(other.size_bytes for other in remaining) + entry.size_bytes <= limits.max_bytes:
            break
        holds: Counter[Hashable] = Counter({entry.stream: 1 if too_many else entry.size_bytes})
        for other in remaining:
            holds[other.stream] += 1 if too_many else other.size_bytes
        most = max(holds.values())
        victims = [
            other for other in remaining if holds[other.stream] == most and not other.begun and not other.carried
        ]
        if holds[entry.stream] == most or not victims:
            return [entry]
        dropped.append(victims[-1])
    return dropped
