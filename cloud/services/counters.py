"""Counters of answered and refused frames, cheap enough for every frame. Metrics read them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from partway.proto.frame import Durations

Which = tuple[str, int, str]
"""Model, split, codec."""


@dataclass(slots=True)
class Served:
    """The number of answered frames of one kind, and the sums of their seconds."""

    frames: int = 0
    queue_s: float = 0.0
    decode_s: float = 0.0
    suffix_s: float = 0.0


class Counters:
    """Counters that several threads may change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._served: dict[Which, Served] = {}
        self._refused: dict[tuple[str, str], int] = {}

    def answered(self, which: Which, durations: Durations) -> None:
        """Count an answered frame."""
        with self._lock:
            served = self._served.get(which)
            if served is None:
                served = self._served[which] = Served()
            served.frames += 1
            served.queue_s += durations.queue_s
            served.decode_s += durations.decode_s
            served.suffix_s += durations.suffix_s

    def refused(self, model: str, status: str) -> None:
        """Count a refused frame with its gRPC status; ``model`` is empty if the cloud does not serve it."""
        with self._lock:
            self._refused[model, status] = self._refused.get((model, status), 0) + 1

    def served(self) -> list[tuple[Which, Served]]:
        """A copy of the current counts of answered frames."""
        with self._lock:
            return [(which, Served(s.frames, s.queue_s, s.decode_s, s.suffix_s)) for which, s in self._served.items()]

    def refusals(self) -> list[tuple[tuple[str, str], int]]:
        """The current counts of refused frames, by model and status."""
        with self._lock:
            return list(self._refused.items())
