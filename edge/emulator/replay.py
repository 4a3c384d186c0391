"""Replay a link's trace with real processes: edge-run's code here, a cloud, and the emulated link between them.

The link has a process of its own, so that shaping does not slow this interpreter. All times are durations.
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
from partway.partitioner.plan.model_file.model_format import is_model_file
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.file import load_profile
from partway.partitioner.zoo import model_folder

ENDLESS = 1_000_000_000
MOST_SAMPLES = 64
"""At most this many inputs are read beforehand and repeated, so that reading pictures is not measured."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame and the time of its answer, in seconds from the beginning of the replay."""

    at_s: float
    result: FrameResult


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay. ``ran_s``: seconds from the first frame to the last answer."""

    run_report: RunReport
    frames: tuple[Answered, ...]
    ran_s: float


class EmulatedLink:
    """``partway link emulate`` in its own process. ``options``: its command line without --to and --json."""

    def __init__(self, to: str, options: Sequence[str]) -> None:
        command = [sys.executable, "-m", "partway", "link", "emulate", "--to", to, "--json", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = self._last_message()
            self.close()
            raise InputError(message or "the emulated link did not start")
        self.address: str = json.loads(line)["address"]

    def _last_message(self) -> str:
        assert self._process.stderr is not None
        lines = self._process.stderr.read().strip().splitlines()
        return lines[-1].removeprefix("partway: ") if lines else ""

    def send(self, command: str) -> None:
        """Send a command such as ``rewind`` or ``stall 2s``. Raises PartwayError if the link has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise PartwayError("the emulated link has ended") from error

    def close(self) -> None:
        """End the process."""
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
    """A device ``slow`` times as slow as this machine, or as the machine of ``profile`` (of ``partway profile``)."""

    slow: int = 1
    profile: Path | None = None

    def engine(self, fast: Engine, plan: Plan) -> Engine:
        """Slow this engine down to the device's speed. Raises InputError if the profile is not of this plan."""
        if self.profile is None:
            return fast if self.slow == 1 else SlowEngine(fast, self.slow)
        seconds = load_profile(self.profile, plan).stage_s
        stages = plan.stages_on(fast.name)
        return PacedEngine(fast, {s.digest: self.slow * stage_s for s, stage_s in zip(stages, seconds, strict=True)})


class _Source:
    """Repeats the inputs until the time is over. With ``fps``, it yields each frame when it is due."""

    def __init__(self, link: EmulatedLink, seconds: float, fps: float | None) -> None:
        self._link, self._seconds, self._fps = link, seconds, fps
        self.begun_s = 0.0

    def samples(self, read: Iterator[Sample]) -> Iterator[Sample]:
        """Yield the samples. The link's traces restart with the first one."""
        samples = _one_round(read)
        self._link.send("rewind")
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
    by_name: dict[str, Sample] = {}
    for sample in samples:
        if sample.name in by_name or len(by_name) == MOST_SAMPLES:
            break
        by_name[sample.name] = sample
    return list(by_name.values())


def replay(
    options: Options,
    link_options: Sequence[str],
    seconds: float,
    fps: float | None = None,
    device: EmulatedDevice = EmulatedDevice(),
) -> Replay:
    """Decide and answer frames for ``seconds``, over the link of ``link_options``, on a device of this speed.

    ``options.cloud`` is ignored: the replay starts and ends its own cloud. Raises InputError as edge-run does.
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
