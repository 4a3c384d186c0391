"""What is kept of answered frames: enough for the report, and of bounded size however long a camera runs.

Counts are exact. Durations are a sample of all frames (reservoir sampling, Vitter 1985), which is every frame up to
SAMPLED. The frames themselves, for ``--json``, wait in memory up to HELD and in a temporary file after that. Outputs
are never kept.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import weakref
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import SEEK_END
from typing import IO, Any

import numpy as np

from partway.edge.pipeline.result import NOBODY, PARTS, FrameResult

SAMPLED = 100_000
HELD = 10_000


class Results:
    """Takes frames as they are answered. Without ``frames`` they are only counted and timed."""

    def __init__(self, frames: bool = True, sampled: int = SAMPLED, held: int = HELD) -> None:
        self._frames, self._sampled, self._most = frames, sampled, held
        self._held: deque[FrameResult] = deque()
        self._file: IO[str] | None = None
        self._counts: Counter[str] = Counter()
        self._seconds = {part: array("d") for part in ("total_s", *PARTS)}
        self._random = random.Random(0)  # noqa: S311 - picks frames, hides nothing
        self.missed = self.bytes_sent = self.bytes_received = 0

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def unanswered(self) -> int:
        """Frames that nobody answered."""
        return self._counts[NOBODY]

    def add(self, result: FrameResult) -> None:
        """Another one."""
        self._counts[result.answered_by] += 1
        self.missed += result.missed
        self.bytes_sent += result.bytes_sent
        self.bytes_received += result.bytes_received
        if result.answered_by != NOBODY:
            self._time(result)
        if self._frames:
            self._held.append(replace(result, outputs={}))
            if len(self._held) > self._most:
                self._write(self._held.popleft())

    def _time(self, result: FrameResult) -> None:
        answered = len(self) - self.unanswered
        if answered <= self._sampled:
            for part, seconds in self._seconds.items():
                seconds.append(getattr(result, part))
        elif (place := self._random.randrange(answered)) < self._sampled:
            for part, seconds in self._seconds.items():
                seconds[place] = getattr(result, part)

    def _write(self, result: FrameResult) -> None:
        """One at a time, as frames come: writing many at once would hold a frame up."""
        if self._file is None:
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - for this object's life
            weakref.finalize(self, self._file.close)
        self._file.write(json.dumps(result.to_json()) + "\n")

    def frames(self) -> Iterator[dict[str, Any]]:
        """Each frame as ``--json`` has it, in the order they were answered."""
        if self._file is not None:
            self._file.seek(0)
            yield from map(json.loads, self._file)
            self._file.seek(0, SEEK_END)
        for result in self._held:
            yield result.to_json()

    def summary(self, wall_s: float) -> dict[str, Any]:
        """The ``summary`` of ``--json``: counts, percentiles of total_s, medians of the parts, frames per second.

        Frames that nobody answered count as such, and their bytes as sent; they have no part in the rest.
        """
        answered = len(self) - self.unanswered
        made: dict[str, Any] = {
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
        made |= {f"p{q}_s": float(np.percentile(totals, q)) for q in (50, 90, 99)}
        made["parts"] = {part: statistics.median(self._seconds[part] or [0.0]) for part in PARTS}
        return made


def summarize(results: Iterable[FrameResult], wall_s: float) -> dict[str, Any]:
    """The summary of frames that are there already."""
    kept = Results(frames=False)
    for result in results:
        kept.add(result)
    return kept.summary(wall_s)
