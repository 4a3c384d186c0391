"""Measure a chain on the machine it runs on: seconds per stage, warm, with their spread."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.inputs import random_frame
from partway.partitioner.plan.state import StreamState
from partway.proto.tensors import Values

BUSY_SPREAD = 0.5
"""Interquartile range over median above which the machine was busy and a profile would mislead."""
BUSY_WAIT = 0.1
"""The same for the share of a run's time that its thread was ready and waited for a processor.

The spread does not show constant load, which slows every run of a long model equally.
"""
SCHEDSTAT = "/proc/thread-self/schedstat"
"""Nanoseconds this thread ran, those it waited for a processor, turns it had (Linux, sched-stats.rst)."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Median seconds per stage over ``runs``.

    ``spread`` is the interquartile range over the median of the whole chain, ``waited`` the median share of a run that
    was spent waiting for a processor (0 where the system does not tell).
    """

    stage_s: tuple[float, ...]
    spread: float
    runs: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """One run of a chain: seconds of each stage, and those that its thread waited for a processor."""

    stage_s: tuple[float, ...]
    waited_s: float


def measure(chain: Chain, values: Values, budget_s: float = 0.2, least: int = 5, most: int = 200) -> StageTimes:
    """Run the chain again and again for about ``budget_s`` seconds, two warm-up rounds apart; medians per stage.

    The runs are one sequence if the model keeps state between frames.
    """
    state = StreamState(chain.plan) if chain.complete else None
    for _ in range(2):
        timed_round(chain, values, lambda: 0.0, state)
    rounds: list[Round] = []
    begun = perf_counter()
    with processor_waits() as waited_s:
        while len(rounds) < least or (perf_counter() - begun < budget_s and len(rounds) < most):
            rounds.append(timed_round(chain, values, waited_s, state))
    return stage_times(rounds)


def timed_round(chain: Chain, values: Values, waited_s: Callable[[], float], state: StreamState | None = None) -> Round:
    """One run; ``waited_s`` as :func:`processor_waits` gives it. It reads ``state`` and moves it on."""
    inputs = {**values, **state.values} if state else values
    before_s = waited_s()
    live, seconds = chain.timed(inputs)
    found = Round(tuple(seconds), waited_s() - before_s)
    if state:
        state.after(live)
    return found


@contextmanager
def processor_waits() -> Iterator[Callable[[], float]]:
    """Gives a function: seconds that this thread was ready and waited for a processor; always 0 if unknown."""
    try:
        file = os.open(SCHEDSTAT, os.O_RDONLY)
    except OSError:
        yield lambda: 0.0
        return
    try:
        yield lambda: int(os.pread(file, 100, 0).split()[1]) * 1e-9
    finally:
        os.close(file)


def stage_times(rounds: Sequence[Round]) -> StageTimes:
    """Medians over some rounds."""
    totals = [sum(one.stage_s) for one in rounds]
    shares = [one.waited_s / total if total else 0.0 for one, total in zip(rounds, totals, strict=True)]
    seconds = tuple(statistics.median(times) for times in zip(*(one.stage_s for one in rounds), strict=True))
    return StageTimes(seconds, spread(totals), len(rounds), statistics.median(shares))


def busy_reason(times: StageTimes) -> str:
    """What in the times shows that the machine was busy; empty if nothing does."""
    if times.spread > BUSY_SPREAD:
        return f"spread {times.spread:.0%} of the median, at most {BUSY_SPREAD:.0%} is sound"
    if times.waited > BUSY_WAIT:
        return f"half of the runs waited for a processor for {times.waited:.0%} of their time or more"
    return ""


def busy_warning(times: StageTimes) -> str | None:
    """A warning when the times show that the machine was busy, else None."""
    why = busy_reason(times)
    return f"the machine was busy while it was measured ({why}); stop other work and try again" if why else None


def check_quiet(times: StageTimes) -> None:
    """Raise InputError with the warning of a busy machine."""
    if sentence := busy_warning(times):
        raise InputError(f"{sentence}, or measure all the same with --force")


def sample_values(chain: Chain, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs that fit the plan, a batch of one; the plan's examples where it has some, and the initial state."""
    return dict(StreamState(chain.plan).before(random_frame(chain.plan, np.random.default_rng(seed))))


def spread(seconds: Sequence[float]) -> float:
    """Interquartile range over median: 0 for a quiet machine."""
    if len(seconds) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return float((high - low) / middle) if middle else 0.0


def machine_name() -> str:
    """Model of the machine or its processor, as the operating system tells it."""
    for path, key in ((Path("/proc/device-tree/model"), ""), (Path("/proc/cpuinfo"), "model name")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").replace("\0", "").splitlines()
        except OSError:
            continue
        found = next((line.split(":", 1)[-1].strip() for line in lines if line.startswith(key)), "")
        if found:
            return found
    return platform.processor() or platform.machine()
