"""The output for people: header, candidates, one line per prediction, summary. Plain text outside a terminal.

rich (5 MB) is imported only for a terminal and for the table, so a service does not load it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from threading import Lock, Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from partway.edge.decision.decision import Decision
from partway.edge.pipeline.result import NOBODY, PARTS, FrameResult
from partway.partitioner.decide.estimate import Estimate
from partway.partitioner.plan.plan import Plan
from partway.units import printable, shortened, show_bytes, show_s, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

log = logging.getLogger("partway.edge")
REFRESH_S = 0.1
WIDTH = 130


class Report:
    """Prints to ``file``. ``quiet`` prints nothing (JSON on stdout); without ``table``, candidates are not listed.

    ``goes_on``: a full disk below the output is one warning, not an error.
    """

    def __init__(
        self, file: TextIO | None = None, quiet: bool = False, table: bool = True, goes_on: bool = False
    ) -> None:
        self.out = file or sys.stdout
        self._goes_on = goes_on
        self.quiet, self._table = quiet, table

    @property
    def styled(self) -> bool:
        """Whether the output is a terminal, and not quiet."""
        return self.out.isatty() and not self.quiet

    @cached_property
    def console(self) -> Console:
        """The console of rich."""
        from rich.console import Console

        plain = not self.out.isatty()
        width = WIDTH if plain else None
        return Console(file=self.out, quiet=self.quiet, highlight=False, width=width, soft_wrap=plain)

    def header(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print the header: model, engine, cloud, link."""
        for name, text in rows:
            self._line(f"{printable(name):>7}", f"  {shown(text)}")

    def say(self, text: str) -> None:
        """Print one line."""
        self._line("", shown(text))

    def _line(self, bold: str, text: str) -> None:
        if self.styled:
            from rich.text import Text

            self.console.print(Text.assemble((bold, "bold"), text))
        elif not self.quiet:
            self._write(f"{bold}{text}\n")

    def _write(self, text: str) -> None:
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._goes_on:
                raise
            log.warning("standard output cannot be written (%s); the service goes on without it", error.strerror)
            self.quiet = True

    def candidates(self, decision: Decision, plan: Plan) -> None:
        """Print the table of all candidates and the reason for the choice."""
        if self._table and not self.quiet:
            self._candidates(decision, plan)
        self.say(f"-> {decision.reason}")

    def _candidates(self, decision: Decision, plan: Plan) -> None:
        from rich.table import Table
        from rich.text import Text

        ranking = decision.ranking
        more = [] if ranking.objective.is_latency else [ranking.objective.name]
        by = "".join(f" by {name}" for name in more)
        table = Table(title=f"candidates{by} (ms per frame)", title_justify="left", header_style="bold")
        for column in ("split", "at", "codec", "sends"):
            table.add_column(column)
        for column in ("prefix", "encode", "link", "cloud", "estimated", "measured", *more):
            table.add_column(column, justify="right")
        for estimate in sorted(decision.estimates, key=ranking.order):
            chosen = estimate is decision.chosen
            cells = [*_row(estimate, plan, chosen), *(ranking.show(estimate) for _ in more)]
            table.add_row(*(Text(printable(cell)) for cell in cells), style="bold green" if chosen else "")
        self.console.print(table)

    def frames(self, total: int | None) -> FrameLines:
        """A context that prints one line per frame, with a progress bar on a terminal."""
        return FrameLines(self, total)

    def summary(self, summary: dict[str, Any]) -> None:
        """Print counts, percentiles and the parts of the time."""
        if summary["missed"]:
            self.say(f"{summary['missed']} frames missed their deadline")
        if summary["unanswered"]:
            self.say(f"{summary['unanswered']} frames were not answered")
        if not summary["answered"]:
            self.say("no frame was answered")
            return
        where = " and ".join(
            f"{summary[key]} by the {key.split('_')[-1]}" for key in ("by_cloud", "by_device") if summary[key]
        )
        self.say(
            f"{summary['answered']} frames answered ({where}) in {show_s(summary['wall_s'])}:"
            f" {summary['frames_per_s']:.0f} frames/s"
        )
        self.say("per frame: " + ", ".join(f"p{q} {show_s(summary[f'p{q}_s'])}" for q in (50, 90, 99)))
        each = summary["bytes_sent"] / (summary["answered"] + summary["unanswered"])
        shares = ", ".join(f"{part[:-2]} {show_s(summary['parts'][part])}" for part in PARTS if summary["parts"][part])
        self.say(f"median parts: {shares}; sent {show_bytes(each)} a frame")


class FrameLines:
    """Collects lines and prints them a few times a second, so that thousands of frames a second are not slowed down.

    A timer prints the collected lines even if no further frame arrives.
    """

    def __init__(self, report: Report, total: int | None) -> None:
        self._report, self._total = report, total
        self._lines: list[str] = []
        self._lock = Lock()
        self._timer: Timer | None = None
        self._printed_s = 0.0
        self._progress: Progress | None = None

    def __enter__(self) -> FrameLines:
        if self._report.styled:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=self._report.console, transient=True)
            self._task = self._progress.add_task("frames", total=self._total)
            self._progress.start()
        return self

    def add(self, result: FrameResult) -> None:
        """Add an answered frame."""
        if self._report.quiet:
            return
        with self._lock:
            self._lines.append(frame_line(result))
            if time.perf_counter() - self._printed_s > REFRESH_S:
                self._flush()
            elif self._timer is None:
                self._timer = Timer(REFRESH_S, self._flush_late)
                self._timer.daemon = True
                self._timer.start()

    def _flush_late(self) -> None:
        with self._lock:
            self._timer = None
            with suppress(Exception):  # the next print raises the same error where it can be handled
                self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        if self._progress is not None:
            self._progress.advance(self._task, len(self._lines))
            from rich.text import Text

            self._progress.console.print(Text("\n".join(self._lines)))
        else:
            self._report.out.write("\n".join(self._lines) + "\n")
            self._report.out.flush()
        self._lines.clear()
        self._printed_s = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._flush()
        if self._progress is not None:
            self._progress.stop()


def frame_line(result: FrameResult) -> str:
    """One line: file, label, probability, answering half, time."""
    name = printable(result.name)
    if result.answered_by == NOBODY:
        return f"{name:<28} {'missed its deadline' if result.missed else 'not answered'}"
    answer = printable(result.answer.line) if result.answer is not None else "no outputs"
    return f"{name:<28} {answer}   {result.answered_by:<6} {result.total_s * 1e3:8.2f} ms"


def _row(estimate: Estimate, plan: Plan, chosen: bool) -> list[str]:
    candidate = estimate.candidate
    at = "-" if candidate.codec is None else plan.cut_names[candidate.k]
    measured = "" if estimate.measured_s is None else _ms(estimate.measured_s)
    where = {0: "0 cloud", len(plan.stages): f"{len(plan.stages)} device"}.get(candidate.k, str(candidate.k))
    return [
        ("> " if chosen else "  ") + where,
        shortened(at, 24),
        candidate.codec or "-",
        show_bytes(candidate.size_bytes) if candidate.codec else "-",
        _ms(estimate.read_s + estimate.prefix_s),  # making tensors is the prefix's first step
        *(_ms(part) for part in (estimate.encode_s, estimate.link_s, estimate.cloud_s)),
        _ms(estimate.total_s),
        measured,
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}" if seconds < 0.01 else f"{seconds * 1e3:.1f}"
