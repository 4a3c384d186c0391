"""Between a source that does not wait (a camera, a socket) and the runner: a bounded queue with a policy.

``block`` holds the source back, ``drop-oldest`` keeps what is newest (cameras), ``drop-newest`` what came first. Every
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
    """Frames that come when they come. ``on_ready`` is called from any thread whenever there is something to take."""

    on_ready: Callable[[], None]

    @abstractmethod
    def ready(self) -> bool:
        """Whether ``take`` has something to say at once."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Until that is so, or the time is over. Only called while no frame is in flight."""

    def behind(self) -> bool:
        """Whether frames wait which their source could not hold back: another in flight makes them less late."""
        return self.ready()

    @abstractmethod
    def take(self, most: int) -> list[tuple[Sample, float]] | None:
        """What is there, oldest first, at most so many, each with the moment it came; None when no more will come."""


class FrameQueue(Arrivals):
    """Reads ``samples`` in a thread of its own, ``size`` of them ahead. ``dropped`` counts what the policy cost.

    A frame comes when its source has it: a live one, and any that may be dropped, waits from then on. Any other, read
    ahead from a file that could be held back, comes when it is taken.
    What the source raises is raised by ``take``. Use as a context manager, or close it.
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
        except BaseException as error:  # whatever it is, it is the taker's
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.on_ready()

    def _put(self, sample: Sample) -> bool:
        """False once the feed is closed."""
        came_s = perf_counter() - sample.read_s
        with self._changed:
            if self.policy == "block":
                self._changed.wait_for(lambda: len(self._queue) < self.size or self._closed)
            elif len(self._queue) >= self.size:
                self.dropped += 1
                if self.policy == "drop-newest":
                    return not self._closed
                self._queue.popleft()
            self._queue.append((sample, came_s))
            self._changed.notify_all()
        self.on_ready()
        return not self._closed

    def ready(self) -> bool:
        """Whether ``take`` has something to say at once."""
        return bool(self._queue) or self._over()

    def _over(self) -> bool:
        """Whether no more will come. What the reader holds when the feed is ended from outside still does."""
        return self._ended or (self._ending and not self._holding)

    def wait(self, seconds: float) -> None:
        """See Arrivals."""
        with self._changed:
            self._changed.wait_for(self.ready, seconds)

    def take(self, most: int) -> list[tuple[Sample, float]] | None:
        """See Arrivals."""
        with self._changed:
            taken = [self._came(*self._queue.popleft()) for _ in range(min(most, len(self._queue)))]
            self._changed.notify_all()
            if taken or not self._over():
                return taken
        if self._error is not None:
            raise self._error
        return None

    def _came(self, sample: Sample, came_s: float) -> tuple[Sample, float]:
        """The sample and when it came."""
        return sample, came_s if self._waits(sample) else perf_counter() - sample.read_s

    def _waits(self, sample: Sample) -> bool:
        return sample.live or self.policy != "block"

    def behind(self) -> bool:
        """See Arrivals."""
        with self._changed:
            return bool(self._queue) and self._waits(self._queue[0][0])

    def end(self) -> None:
        """No more is read, from a signal's handler too: what was read already can still be taken."""
        self._ending = True  # no lock: the thread that is interrupted may hold it
        self.on_ready()

    def close(self) -> None:
        """No more is read; a source that waits for something is left to itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(WAIT_S)

    def __enter__(self) -> FrameQueue:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Groups:
    """Samples by the batch, from an iterable or from Arrivals. ``came_s``: when each of those last taken came."""

    def __init__(self, samples: Iterable[Sample] | Arrivals, batch: int, wake: Callable[[], None]) -> None:
        self._feed = samples if isinstance(samples, Arrivals) else None
        self._source: Iterator[Sample] = iter(()) if isinstance(samples, Arrivals) else iter(samples)
        self._batch = batch
        self.came_s: list[float] = []
        if self._feed is not None:
            self._feed.on_ready = wake

    def take(self, meanwhile: Callable[[Callable[[], bool]], None] | None) -> list[Sample] | None:
        """The next group; empty when none is there yet, None at the end.

        ``meanwhile(ready)`` is called where there is nothing to begin: it may wait for other things until ``ready()``.
        """
        if self._feed is None:
            group, self.came_s = [], []
            for sample in islice(self._source, self._batch):
                group.append(sample)
                self.came_s.append(perf_counter() - sample.read_s)
            return group or None
        if not self._feed.ready():
            if meanwhile is None:
                self._feed.wait(WAIT_S)
            else:
                meanwhile(self._feed.ready)
        taken = self._feed.take(self._batch)
        if taken is None:
            return None
        self.came_s = [came_s for _, came_s in taken]
        return [sample for sample, _ in taken]

    def behind(self) -> bool:
        """See Arrivals; an iterable holds everything back."""
        return self._feed is not None and self._feed.behind()
