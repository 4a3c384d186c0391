"""``edge-run --service``: runs until SIGTERM, for systemd and containers.

It prints one line per frame and stores no frame, and it notifies systemd that it is ready and alive. On SIGTERM it
answers every frame that it has read, then ends with code 0.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from partway.edge.discovery.zeroconf import Search
from partway.edge.options import Options, OutputOptions
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.report.terminal import Report, frame_line
from partway.edge.session.answer_input import readable, saving
from partway.edge.session.health import Liveness
from partway.edge.session.run import Ready, Run
from partway.edge.sources.frame_queue import FrameQueue
from partway.errors import InputError
from partway.system.sigterm import Sigterm
from partway.system.systemd import notify, watchdog_s
from partway.units import encodable

log = logging.getLogger("partway.edge")

BEAT_S = 5.0
MOST_CHANGES = 100
"""The service remembers this many changes of the split."""


def serve(options: Options, search: Search | None, output: OutputOptions) -> int:
    """Answer frames until the input ends or SIGTERM arrives. Returns the exit code: 0.

    ``output.json``: the file for lines of JSON, ``-`` for standard output. None prints lines for people there.
    """
    json_path = output.json
    with ExitStack() as stack:
        sigterm = stack.enter_context(Sigterm(early=lambda: SystemExit(0)))
        liveness = stack.enter_context(Liveness())
        lines: TextIO = sys.stdout
        if json_path not in (None, "-"):
            lines = Path(str(json_path)).open("a", encoding="utf-8")  # noqa: SIM115 - closed by the stack
            stack.callback(_close, lines)
        journal = Journal(lines, json_path is not None, liveness)
        run = stack.enter_context(
            Run(replace(options, patient=True), Report(quiet=json_path == "-", table=False, goes_on=True), search)
        )
        with journal:
            _answer(run.open(), options, output, journal, sigterm)
        return 0


def _close(lines: TextIO) -> None:
    with suppress(OSError):  # a full disk was told when it was met
        lines.close()


def _answer(ready: Ready, options: Options, output: OutputOptions, journal: Journal, sigterm: Sigterm) -> None:
    run_input, pipeline = ready.opened.run_input, ready.pipeline
    samples = readable(
        run_input.items(),
        journal.unreadable,
        journal.liveness.frame_read,
        lambda: sigterm.received,
        pictures=output.save_pictures is not None,
    )
    with saving(ready, output, options.inputs) as save, FrameQueue(samples, options.when_behind) as frame_queue:
        sigterm.on_end(frame_queue.end)
        journal.ready(ready)
        for result in pipeline.answers(frame_queue):
            journal.answered(save(result))
            while len(pipeline.controller.changes) > MOST_CHANGES:
                del pipeline.controller.changes[0]


class Journal:
    """Writes a line for each event and notifies systemd. As a context manager, it feeds the watchdog."""

    def __init__(self, lines: TextIO, as_json: bool, liveness: Liveness) -> None:
        self._lines, self._json, self.liveness = lines, as_json, liveness
        self._unanswered = 0
        self._unwritten = False
        self._warned = ""
        self._ended = threading.Event()

    def __enter__(self) -> Journal:
        notify("STATUS=opening the model and looking for a cloud")
        threading.Thread(target=self._beat, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._ended.set()
        notify("STOPPING=1", f"STATUS={self._counts()}")
        if kind is None:
            read, done = self.liveness.read, self.liveness.done
            counts = {"taken": read, "answered": done - self._unanswered, "unanswered": self._unanswered}
            self._write({"event": "ended", **counts}, self._counts())

    def ready(self, ready: Ready) -> None:
        """Report that frames flow from now on."""
        notify("READY=1", "STATUS=answering frames")
        plan = ready.opened.chain.plan
        self._write({"event": "ready", "model": encodable(plan.model), "plan": plan.digest}, "ready")

    def answered(self, result: FrameResult) -> None:
        """A frame is done."""
        self.liveness.frame_done()
        self._unanswered += result.answered_by == NOBODY
        self._write(result.to_json(), frame_line(result))

    def unreadable(self, error: InputError) -> None:
        """Warn of an input that cannot be read, once while the same input keeps failing."""
        if str(error) != self._warned:
            log.warning("%s", error)
        self._warned = str(error)

    def _write(self, data: dict[str, Any], text: str) -> None:
        """Write a line. On a full disk, or if the output is closed, frames are still answered; both ends are told."""
        try:
            self._lines.write((json.dumps(data) if self._json else text) + "\n")
            self._lines.flush()
        except BrokenPipeError:  # the program that reads the results has ended
            raise
        except OSError as error:
            if not self._unwritten:
                log.warning("results cannot be written (%s); frames are answered without them", error.strerror)
            self._unwritten = True
        else:
            if self._unwritten:
                log.warning("results are written again")
            self._unwritten = False

    def _beat(self) -> None:
        every_s, warned = (watchdog_s() or 2 * BEAT_S) / 2, False
        while not self._ended.wait(every_s):
            try:
                if self.liveness.alive:
                    notify("WATCHDOG=1", f"STATUS={self._counts()}")
            except Exception as error:  # systemd would restart a service that answers frames
                if not warned:
                    log.warning("systemd was not told that this service is alive (%r); trying again", error)
                warned = True

    def _counts(self) -> str:
        unanswered = f", {self._unanswered} not" if self._unanswered else ""
        return f"{self.liveness.done - self._unanswered} frames answered{unanswered}"
