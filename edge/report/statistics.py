"""Statistics of answered frames for the report, of bounded size however long a camera runs.

Counts are exact. Durations are a sample of all frames (reservoir sampling, Vitter 1985), and of every frame up to
SAMPLED frames. For ``--json``, the last IN_MEMORY frames, at most MOST_BYTES of text, stay in memory and older ones in
a temporary file. Outputs and pictures are never stored. A frame whose answer may be large (boxes, masks, tensors) is
kept as the text of its JSON.
"""

from __future__ import annotations

import json
import random
import statistics
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from partway.edge.pipeline.result import NOBODY, PARTS, FrameResult
from partway.edge.report.spill import Spill
from partway.tasks.classify import Classes

SAMPLED = 100_000
IN_MEMORY = 10_000
MOST_BYTES = 1 << 24


class Results:
    """Collects frames as they are answered. Without ``frames`` it only counts and times them."""

    def __init__(
        self, frames: bool = True, sampled: int = SAMPLED, in_memory: int = IN_MEMORY, most_bytes: int = MOST_BYTES
    ) -> None:
        self._frames, self._sampled, self._most, self._most_bytes = frames, sampled, in_memory, most_bytes
        self._recent: deque[FrameResult | str] = deque()
        self._recent_bytes = 0
        self._spill = Spill()
        self._counts: Counter[str] = Counter()
        self._seconds = {part: array("d") for part in ("total_s", *PARTS)}
        self._random = random.Random(0)  # noqa: S311 - chooses samples, protects nothing
        self.missed = self.bytes_sent = self.bytes_received = 0

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def unanswered(self) -> int:
        """Frames that nobody answered."""
        return self._counts[NOBODY]

    def add(self, result: FrameResult) -> None:
        """Add an answered frame."""
        self._counts[result.answered_by] += 1
        self.missed += result.missed
        self.bytes_sent += result.bytes_sent
        self.bytes_received += result.bytes_received
        if result.answered_by != NOBODY:
            self._time(result)
        if self._frames:
            self._keep(result)

    def _keep(self, result: FrameResult) -> None:
        small = result.answer is None or isinstance(result.answer, Classes)
        entry = replace(result, outputs={}, picture=None) if small else json.dumps(result.to_json())
        self._recent.append(entry)
        self._recent_bytes += len(entry) if isinstance(entry, str) else 0
        while len(self._recent) > self._most or self._recent_bytes > self._most_bytes:
            oldest = self._recent.popleft()
            self._recent_bytes -= len(oldest) if isinstance(oldest, str) else 0
            self._spill.append(oldest if isinstance(oldest, str) else json.dumps(oldest.to_json()))

    def _time(self, result: FrameResult) -> None:
        answered = len(self) - self.unanswered
        if answered <= self._sampled:
            for part, seconds in self._seconds.items():
                seconds.append(getattr(result, part))
        elif (place := self._random.randrange(answered)) < self._sampled:
            for part, seconds in self._seconds.items():
                seconds[place] = getattr(result, part)

    def frames(self) -> Iterator[dict[str, Any]]:
        """Each frame as JSON, in the order of the answers."""
        yield from map(json.loads, self._spill.lines())
        for entry in self._recent:
            yield json.loads(entry) if isinstance(entry, str) else entry.to_json()

    def summary(self, wall_s: float) -> dict[str, Any]:
        """The ``summary`` of ``--json``: counts, percentiles of total_s, medians of the parts, frames per second.

        Unanswered frames have their own count, and their bytes count as sent; the other figures leave them out.
        """
        answered = len(self) - self.unanswered
        figures: dict[str, Any] = {
            "answered": answered,
            "unanswered": self.unanswered,
            "missed": self.missed,
            "by_cloud": self._counts["cloud"],
            "by_device": self._counts["device"],
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "wall_s": wall_s,
            "frames_per_s": answered / wall_s if wall_s else 0.0,
        }
        totals = self._seconds["total_s"] or [0.0]
        figures |= {f"p{q}_s": float(np.percentile(totals, q)) for q in (50, 90, 99)}
        figures["parts"] = {part: statistics.median(self._seconds[part] or [0.0]) for part in PARTS}
        return figures


def summarize(results: Iterable[FrameResult], wall_s: float) -> dict[str, Any]:
    """The summary of these frames."""
    collected = Results(frames=False)
    for result in results:
        collected.add(result)
    return collected.summary(wall_s)
