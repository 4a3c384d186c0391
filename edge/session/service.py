"""``edge-run --service``: runs until it is told to end, for systemd and containers.

A line a frame, nothing kept of those that were answered, systemd told that it is ready and alive, and on SIGTERM every
frame that was taken is answered before it ends with code 0.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, TextIO

from partway.edge.discovery.zeroconf import Search
from partway.edge.options import Options
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.report.run_json import Outcome
from partway.edge.report.terminal import Report, frame_line
from partway.edge.session.run import Run
from partway.edge.sources.files import Item, Sample
from partway.edge.sources.frame_queue import Feed
from partway.edge.sources.work import Work
from partway.errors import InputError
from partway.system.systemd import notify, watchdog_s

log = logging.getLogger("partway.edge")

MOST_QUIET_S = 30.0
"""Frames that were taken and are not answered for so long: it hangs, and the watchdog is not told otherwise."""
BEAT_S = 5.0
KEPT = 100


class Service(Run):
    """A run that keeps nothing and can be told to end. ``json_path``: lines of JSON there, ``-`` standard output."""

    def __init__(self, options: Options, search: Search | None, json_path: str | None) -> None:
        super().__init__(options, Report(quiet=json_path == "-", table=False), search)
        self._lines: TextIO = sys.stdout
        if json_path not in (None, "-"):
            self._lines = self._stack.enter_context(Path(str(json_path)).open("a", encoding="utf-8"))  # noqa: SIM115
        self._json = json_path is not None
        self._taken = self.answered = self.unanswered = 0
        self._moved_s = perf_counter()
        self._ended = threading.Event()
        self._end: Callable[[], None] = _leave
        signal.signal(signal.SIGTERM, self._signalled)

    def serve(self) -> int:
        """Answer frames until the input ends or SIGTERM comes. Returns the exit code: 0."""
        notify("STATUS=opening the model and looking for a cloud")
        beat = threading.Thread(target=self._beat, name="watchdog", daemon=True)
        beat.start()
        try:
            self.go([])
        finally:
            self._ended.set()
            notify("STOPPING=1", f"STATUS={self._counts()}")
        counts = {"taken": self._taken, "answered": self.answered, "unanswered": self.unanswered}
        self._say({"event": "ended", **counts}, self._counts())
        return 0

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._end()

    def _frames(self, outcome: Outcome, runner: Runner, work: Work) -> None:
        signal.signal(signal.SIGTERM, self._signalled)
        with Feed(self._read(iter([work.first]), work.rest), self.options.when_behind) as feed:
            self._end = feed.end
            notify("READY=1", "STATUS=answering frames")
            self._say({"event": "ready", "model": outcome.plan.model, "plan": outcome.plan.digest}, "ready")
            for result in runner.run(feed, self._recut):
                self._answered(result)
                while len(self._recut.changes) > KEPT:
                    del self._recut.changes[0]

    def _read(self, *rounds: Iterator[Item]) -> Iterator[Sample]:
        """Every item that can be read; of the others, a sentence."""
        said = ""
        for items in rounds:
            for item in items:
                try:
                    sample = item.read()
                except InputError as error:
                    if str(error) != said:
                        log.warning("%s", error)
                    said = str(error)
                    continue
                if self._taken == self.answered + self.unanswered:
                    self._moved_s = perf_counter()
                self._taken += 1
                self._pulse.took()
                yield sample

    def _answered(self, result: FrameResult) -> None:
        self._moved_s = perf_counter()
        self._pulse.answered()
        if result.answered_by == NOBODY:
            self.unanswered += 1
        else:
            self.answered += 1
        self._say({"name": result.name, **result.to_json()}, frame_line(result))

    def _say(self, data: dict[str, Any], text: str) -> None:
        self._lines.write((json.dumps(data) if self._json else text) + "\n")
        self._lines.flush()

    def _well(self) -> bool:
        """A camera may be silent for ever; a frame that was taken may not be left for long."""
        waiting = self._taken <= self.answered + self.unanswered
        return waiting or perf_counter() - self._moved_s < MOST_QUIET_S

    def _beat(self) -> None:
        every_s = (watchdog_s() or 2 * BEAT_S) / 2
        while not self._ended.wait(every_s):
            if self._well():
                notify("WATCHDOG=1", f"STATUS={self._counts()}")

    def _counts(self) -> str:
        nobody = f", {self.unanswered} not" if self.unanswered else ""
        return f"{self.answered} frames answered{nobody}"


def _leave() -> None:
    """Before frames flow there is none to answer."""
    raise SystemExit(0)
