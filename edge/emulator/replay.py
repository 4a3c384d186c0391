"""Replay a link's trace through the real two processes: edge-run's own code here, a cloud, the emulator between.

The link is a process of its own, too, so that shaping it takes nothing of the device's interpreter. Durations only.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from time import perf_counter, sleep
from types import TracebackType

from partway.edge.options import Options
from partway.edge.pipeline.result import FrameResult
from partway.edge.report.run_json import RunReport
from partway.edge.report.terminal import Report
from partway.edge.session.answer_input import answer_input, new_run_report, queue_policy, readable
from partway.edge.session.run import Run
from partway.edge.session.start.embedded_cloud import EmbeddedCloud
from partway.edge.session.start.slice_on_the_fly import sliced_folder
from partway.edge.sources.files import Sample
from partway.edge.transport.access.access import OPEN
from partway.engines.interface import Engine
from partway.engines.throttled import PacedEngine, SlowEngine
from partway.errors import InputError, PartwayError
from partway.partitioner.plan.model_format import is_model_file
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.file import load_profile
from partway.partitioner.zoo import model_folder

ENDLESS = 1_000_000_000
MOST_SAMPLES = 64
"""Inputs read beforehand and gone round, so that reading pictures is no part of what is measured."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame and when its answer was there, in seconds from the moment the replay began."""

    at_s: float
    result: FrameResult


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it. ``ran_s``: from the first frame to the last answer."""

    run_report: RunReport
    frames: tuple[Answered, ...]
    ran_s: float


class EmulatedLink:
    """``partway link emulate`` in a process of its own. ``options``: those of its command line but --to and --json."""

    def __init__(self, to: str, options: Sequence[str]) -> None:
        command = [sys.executable, "-m", "partway", "link", "emulate", "--to", to, "--json", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._said()
            self.close()
            raise InputError(said or "the emulated link did not start")
        self.address: str = json.loads(line)["address"]

    def _said(self) -> str:
        assert self._process.stderr is not None
        lines = self._process.stderr.read().strip().splitlines()
        return lines[-1].removeprefix("partway: ") if lines else ""

    def tell(self, command: str) -> None:
        """A command such as ``rewind`` or ``stall 2s``. Raises PartwayError when the link has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise PartwayError("the emulated link has ended") from error

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()

    def __enter__(self) -> EmulatedLink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class EmulatedDevice:
    """``slow`` times as slow as this machine, or as the machine of a ``profile`` (a file of ``partway profile``)."""

    slow: int = 1
    profile: Path | None = None

    def engine(self, made: Engine, plan: Plan) -> Engine:
        """This engine at the device's pace. Raises InputError where the profile is not one of this plan."""
        if self.profile is None:
            return made if self.slow == 1 else SlowEngine(made, self.slow)
        seconds = load_profile(self.profile, plan).stage_s
        stages = plan.stages_on(made.name)
        return PacedEngine(made, {s.digest: self.slow * took_s for s, took_s in zip(stages, seconds, strict=True)})


class _Source:
    """The inputs round and round, until the time is over; on ``fps`` each when it is due, never before."""

    def __init__(self, link: EmulatedLink, seconds: float, fps: float | None) -> None:
        self._link, self._seconds, self._fps = link, seconds, fps
        self.begun_s = 0.0

    def samples(self, read: Iterator[Sample]) -> Iterator[Sample]:
        """The link's traces start over with the first one."""
        samples = _one_round(read)
        self._link.tell("rewind")
        self.begun_s = perf_counter()
        for index, sample in enumerate(cycle(samples)):
            due_s = index / self._fps if self._fps else 0.0
            if max(due_s, self.elapsed_s()) >= self._seconds:
                return
            if (early_s := due_s - self.elapsed_s()) > 0:
                sleep(early_s)
            yield sample

    def elapsed_s(self) -> float:
        """Seconds since the first sample."""
        return perf_counter() - self.begun_s


def _one_round(samples: Iterator[Sample]) -> list[Sample]:
    taken: dict[str, Sample] = {}
    for sample in samples:
        if sample.name in taken or len(taken) == MOST_SAMPLES:
            break
        taken[sample.name] = sample
    return list(taken.values())


def replay(
    options: Options,
    link_options: Sequence[str],
    seconds: float,
    fps: float | None = None,
    device: EmulatedDevice = EmulatedDevice(),
) -> Replay:
    """Decide and answer frames for ``seconds``, over the link that the options say, on a device at this pace.

    ``options.cloud`` is not looked at: the cloud is started here, and ended. Raises InputError as edge-run does.
    """
    folder = _folder(options.model, options.cache)
    frames: list[Answered] = []
    with ExitStack() as stack:
        cloud = stack.enter_context(EmbeddedCloud(folder, options.threads))
        link = stack.enter_context(EmulatedLink(cloud.address(), link_options))
        emulated = replace(options, model=str(folder), cloud=link.address, frames=ENDLESS, access=OPEN)
        ready = stack.enter_context(Run(emulated, Report(quiet=True), wrap_engine=device.engine)).open()
        run_report, run_input = new_run_report(ready, emulated), ready.opened.run_input
        source = _Source(link, seconds, fps)
        gc.collect()
        gc.freeze()  # as edge-run does
        answer_input(
            ready,
            run_report,
            source.samples(readable(run_input.items(), run_report.add_unreadable)),
            queue_policy(run_input, emulated),
            lambda result: frames.append(Answered(source.elapsed_s(), result)),
        )
    return Replay(run_report, tuple(frames), frames[-1].at_s if frames else 0.0)


def _folder(model: str, cache: Path | None) -> Path:
    return sliced_folder(Path(model), cache) if is_model_file(model) else model_folder(model)
