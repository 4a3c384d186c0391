"""Measure a chain on the machine it runs on: seconds per stage, warm, with their spread."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.partitioner.chain import Chain
from partway.proto.errors import InputError
from partway.proto.tensors import Values

BUSY_SPREAD = 0.5
"""Interquartile range over median above which the machine was busy and a profile would mislead."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Median seconds per stage and the relative spread (interquartile range over median) of the whole chain."""

    stage_s: tuple[float, ...]
    spread: float
    runs: int


def measure(chain: Chain, values: Values, budget_s: float = 0.2, least: int = 5, most: int = 200) -> StageTimes:
    """Run the chain again and again for about ``budget_s`` seconds, two warm-up rounds apart; medians per stage."""
    for _ in range(2):
        chain.timed(values)
    rounds: list[list[float]] = []
    begun = perf_counter()
    while len(rounds) < least or (perf_counter() - begun < budget_s and len(rounds) < most):
        rounds.append(chain.timed(values)[1])
    return stage_times(rounds)


def stage_times(rounds: Sequence[Sequence[float]]) -> StageTimes:
    """Medians per stage of some rounds, each the seconds of every stage."""
    return StageTimes(
        tuple(statistics.median(times) for times in zip(*rounds, strict=True)),
        spread([sum(times) for times in rounds]),
        len(rounds),
    )


def spread(seconds: Sequence[float]) -> float:
    """Interquartile range over median: 0 for a quiet machine."""
    low, middle, high = np.percentile(seconds, (25, 50, 75))
    return float((high - low) / middle) if middle else 0.0


def check_quiet(found: float) -> None:
    """Raise InputError when a spread says that the machine was busy."""
    if found > BUSY_SPREAD:
        raise InputError(
            f"the machine was busy while it was measured (spread {found:.0%} of the median, at most {BUSY_SPREAD:.0%}"
            " is sound); stop other work and try again"
        )


def sample_values(chain: Chain, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs that fit the plan, batch of one, for when nothing real is at hand."""
    rng = np.random.default_rng(seed)
    return {spec.name: random_tensor(rng, spec.dtype, spec.shape) for spec in chain.plan.crossing(0)}


def random_tensor(rng: np.random.Generator, dtype: str, shape: Sequence[int | None]) -> np.ndarray[Any, Any]:
    """Standard normal floats, or uniform integers over the middle of the dtype's range; dynamic dimensions are 1."""
    size = [1 if dim is None else dim for dim in shape]
    kind = np.dtype(dtype)
    if np.issubdtype(kind, np.floating):
        return rng.standard_normal(size).astype(kind)
    if kind == np.bool_:
        return rng.integers(0, 2, size).astype(kind)
    high = min(np.iinfo(kind).max, 127 if kind.kind == "i" else 255) if kind.itemsize == 1 else 2
    return rng.integers(max(np.iinfo(kind).min, -high), high, size).astype(kind)


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
