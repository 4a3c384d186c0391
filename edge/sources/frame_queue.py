"""A bounded queue with a policy, between a source that does not wait (a camera, a socket) and the runner.

``block`` makes the source wait, ``drop-oldest`` keeps the newest frames, ``drop-newest`` keeps the first ones. Every
drop is counted.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter

from partway.edge.sources.files import Sample
from partway.errors import InputError

POLICIES = ("block", "drop-oldest", "drop-newest")
QUEUE = 4
WAIT_S = 0.1


class Arrivals(ABC):
    """Frames that arrive on their own. Any thread may call ``on_ready``, whenever there is something to take."""

    on_ready: Callable[[], None]

    @abstractmethod
    def ready(self) -> bool:
        """Whether ``take`` returns frames, None or an error at once."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Block until ``ready`` or until the time is over. Called only while no frame is in flight."""

    def behind(self) -> bool:
        """Whether live frames wait in the queue. If so, the runner sends more at once to reduce their delay."""
        return self.ready()

    @abstractmethod
    def take(self, most: int) -> list[tuple[Sample, float]] | None:
        """At most ``most`` frames, oldest first, each with its arrival time; None once no more frames will arrive."""


class FrameQueue(Arrivals):
    """Reads ``samples`` in a thread of its own, ``size`` of them ahead. ``dropped`` counts the dropped frames.

    A live frame, and one that may be dropped, arrives when its source has it. A frame that is read ahead from a file
    arrives when it is taken.
    ``take`` raises the errors of the source. Use the queue as a context manager, or close it.
    """

    def __init__(self, samples: Iterable[Sample], policy: str = "block", size: int = QUEUE) -> None:
        if policy not in POLICIES:
            raise InputError(f"unknown policy {policy!r}; known: {', '.join(POLICIES)}")
        self.policy, self.size, self.dropped = policy, size, 0
        self.on_ready = lambda: None
        self._queue: deque[tuple[Sample, float]] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._ending = self._holding = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, args=(iter(samples),), name="source", daemon=True)
        self._thread.start()

    def _read(self, source: Iterator[Sample]) -> None:
        try:
            for sample in source:
                self._holding = True
                more = self._put(sample)
                self._holding = False
                if self._ending or not more:
                    break
        except BaseException as error:  # ``take`` raises it in the thread that takes
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.on_ready()

    def _put(self, sample: Sample) -> bool:
        """Add a frame by the policy. Returns False once the queue is closed."""
        arrived_s = perf_counter() - sample.read_s
        with self._changed:
            if self.policy == "block":
                self._changed.wait_for(lambda: len(self._queue) < self.size or self._closed)
            elif len(self._queue) >= self.size:
                self.dropped += 1
                if self.policy == "drop-newest":
                    return not self._closed
                self._queue.popleft()
            self._queue.append((sample, arrived_s))
            self._changed.notify_all()
        self.on_ready()
        return not self._closed

    def ready(self) -> bool:
        """Whether ``take`` returns frames, None or an error at once."""
        return bool(self._queue) or self._is_exhausted()

    def _is_exhausted(self) -> bool:
        """Whether no more frames will arrive. After ``end``, a frame that the reader already holds still arrives."""
        return self._ended or (self._ending and not self._holding)

    def wait(self, seconds: float) -> None:
        """See Arrivals."""
        with self._changed:
            self._changed.wait_for(self.ready, seconds)

    def take(self, most: int) -> list[tuple[Sample, float]] | None:
        """See Arrivals."""
        with self._changed:
            taken = [self._with_arrival(*self._queue.popleft()) for _ in range(min(most, len(self._queue)))]
            self._changed.notify_all()
            if taken or not self._is_exhausted():
                return taken
        if self._error is not None:
            raise self._error
        return None

    def _with_arrival(self, sample: Sample, arrived_s: float) -> tuple[Sample, float]:
        """The sample and its arrival time."""
        return sample, arrived_s if self._ages(sample) else perf_counter() - sample.read_s

    def _ages(self, sample: Sample) -> bool:
        """Whether the time that this sample waits in the queue counts as part of its age."""
        return sample.live or self.policy != "block"

    def behind(self) -> bool:
        """See Arrivals."""
        with self._changed:
            return bool(self._queue) and self._ages(self._queue[0][0])

    def end(self) -> None:
        """Stop reading; a signal handler may call this. Frames that were already read can still be taken."""
        self._ending = True  # no lock: the interrupted thread may hold it
        self.on_ready()

    def close(self) -> None:
        """Stop reading. A source that is blocked in its own read is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(WAIT_S)

    def __enter__(self) -> FrameQueue:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Groups:
    """Samples in batches, from an iterable or from Arrivals. ``arrived_s``: arrival times of the last batch."""

    def __init__(self, samples: Iterable[Sample] | Arrivals, batch: int, wake: Callable[[], None]) -> None:
        self._arrivals = samples if isinstance(samples, Arrivals) else None
        self._source: Iterator[Sample] = iter(()) if isinstance(samples, Arrivals) else iter(samples)
        self._batch = batch
        self.arrived_s: list[float] = []
        if self._arrivals is not None:
            self._arrivals.on_ready = wake

    def take(self, meanwhile: Callable[[Callable[[], bool]], None] | None) -> list[Sample] | None:
        """The next group; empty if no frame has arrived yet, None at the end.

        If there is nothing to take, ``meanwhile(ready)`` is called; it may wait for other events until ``ready()``.
        """
        if self._arrivals is None:
            group, self.arrived_s = [], []
            for sample in islice(self._source, self._batch):
                group.append(sample)
                self.arrived_s.append(perf_counter() - sample.read_s)
            return group or None
        if not self._arrivals.ready():
            if meanwhile is None:
                self._arrivals.wait(WAIT_S)
            else:
                meanwhile(self._arrivals.ready)
        taken = self._arrivals.take(self._batch)
        if taken is None:
            return None
        self.arrived_s = [arrived_s for _, arrived_s in taken]
        return [sample for sample, _ in taken]

    def behind(self) -> bool:
        """See Arrivals. An iterable never has frames that wait."""
        return self._arrivals is not None and self._arrivals.behind()
