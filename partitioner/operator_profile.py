"""Seconds per operator of a chain, made to add up to what its stages take without a profiler."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from partway.engines.engine import Engine, OperatorTime, TimesOperators
from partway.partitioner.chain import Chain
from partway.partitioner.plan import Stage
from partway.partitioner.profile import StageTimes, check_quiet, spread
from partway.partitioner.profile_format import OVERHEAD, OperatorProfile, OperatorSeconds
from partway.proto.errors import InputError
from partway.proto.tensors import Values

LEAST_RUNS, MOST_RUNS = 10, 200


def measure_operators(
    chain: Chain, engine: Engine, read: Callable[[Stage], bytes], values: Values, times: StageTimes, runs: int
) -> OperatorProfile:
    """Run every stage ``runs`` times under the engine's profiler; ``times`` is what the stages take without it.

    Raises InputError when the engine cannot do that, or the machine was busy meanwhile.
    """
    if not isinstance(engine, TimesOperators):
        raise InputError(f"the engine {engine.name} does not time operators; leave out --operators")
    live: dict[str, np.ndarray[Any, Any]] = dict(values)
    operators: list[OperatorSeconds] = []
    watched: list[tuple[float, ...]] = []
    for k, (stage, loaded) in enumerate(zip(chain.plan.stages, chain.stages, strict=True)):
        seen = engine.operator_times(read(stage), live, runs)
        live.update(loaded.run(live))
        operators += fitted(k, seen.operators, times.stage_s[k])
        watched.append(seen.run_s)
    totals = [sum(rounds) for rounds in zip(*watched, strict=False)]
    check_quiet(spread(totals))
    return OperatorProfile(tuple(operators), statistics.median(totals) / (sum(times.stage_s) or 1.0), len(totals))


def runs_for(times: StageTimes, seconds: float) -> int:
    """How often the model runs in so many seconds, within reason."""
    return int(min(max(seconds / (sum(times.stage_s) or 1.0), LEAST_RUNS), MOST_RUNS))


def fitted(stage: int, seen: Sequence[OperatorTime], stage_s: float) -> list[OperatorSeconds]:
    """Operators of one stage, and its overhead, that together take ``stage_s``.

    What the stage takes beyond its operators is the overhead. Operators that took longer than the whole stage without
    the profiler did so because of it: it costs about the same at every kernel, so that is taken off first, at most what
    the quickest kernel took; what is still too much is taken off in proportion.
    """
    total = sum(one.time_s for one in seen)
    calls = sum(one.calls for one in seen)
    quickest = min((one.time_s / one.calls for one in seen if one.calls), default=0.0)
    each = min(max(total - stage_s, 0.0) / calls, quickest) if calls else 0.0
    times = [one.time_s - each * one.calls for one in seen]
    left = sum(times)
    scale = stage_s / left if left > stage_s else 1.0
    rows = [
        OperatorSeconds(one.name, one.kind, stage, max(time_s, 0.0) * scale, one.calls, one.fused)
        for one, time_s in zip(seen, times, strict=True)
    ]
    overhead = max(stage_s - sum(row.time_s for row in rows), 0.0)
    return [*rows, OperatorSeconds(None, OVERHEAD, stage, overhead, 0)]
