"""Statistics of answered frames for the report, of bounded size however long a camera runs.

Counts are exact. Durations are a sample of all frames (reservoir sampling, Vitter 1985), and of every frame up to
SAMPLED frames. For ``--json``, the last IN_MEMORY frames stay in memory and older ones in a temporary file. Outputs are
never stored.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import statistics
import tempfile
import weakref
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from partway.edge.pipeline.result import NOBODY, PARTS, FrameResult

log = logging.getLogger("partway.edge")
SAMPLED = 100_000
IN_MEMORY = 10_000


class Results:
    """Collects frames as they are answered. Without ``frames`` it only counts and times them."""

    def __init__(self, frames: bool = True, sampled: int = SAMPLED, in_memory: int = IN_MEMORY) -> None:
        self._frames, self._sampled, self._most = frames, sampled, in_memory
        self._recent: deque[FrameResult] = deque()
        self._file: BinaryIO | None = None
        self._full = False
        self.not_stored = 0
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
            self._recent.append(replace(result, outputs={}))
            if len(self._recent) > self._most:
                self._write(self._recent.popleft())

    def _time(self, result: FrameResult) -> None:
        answered = len(self) - self.unanswered
        if answered <= self._sampled:
            for part, seconds in self._seconds.items():
                seconds.append(getattr(result, part))
        elif (place := self._random.randrange(answered)) < self._sampled:
            for part, seconds in self._seconds.items():
                seconds[place] = getattr(result, part)

    def _write(self, result: FrameResult) -> None:
        """Write one frame, as it is answered: writing many at once would delay a frame.

        On a full disk the older frames are lost to ``--json``, and ``not_stored`` counts them.
        """
        if not self._full:
            try:
                self._append(json.dumps(result.to_json()).encode() + b"\n")
            except OSError as error:
                self._full = True
                log.warning(
                    "%s is full (%s): --json will hold the last %d frames and those stored before; counts stay exact",
                    *(tempfile.gettempdir(), error.strerror, self._most),
                )
        self.not_stored += self._full

    def _append(self, line: bytes) -> None:
        """Append a whole line, or nothing of it. Raises OSError."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with this object
            weakref.finalize(self, self._file.close)
        before = self._file.tell()
        if self._file.write(line) < len(line):
            self._file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def frames(self) -> Iterator[dict[str, Any]]:
        """Each frame as JSON, in the order of the answers."""
        if self._file is not None:
            self._file.seek(0)
            yield from map(json.loads, self._file)
            self._file.seek(0, os.SEEK_END)
        for result in self._recent:
            yield result.to_json()

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
