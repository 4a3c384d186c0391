"""Seconds per operator of a chain, scaled to add up to the stages' times without a profiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from partway.engines.interface import Engine, OperatorTiming, TimesOperators
from partway.errors import InputError
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Stage
from partway.partitioner.profile.file import OVERHEAD, OperatorProfile, OperatorSeconds
from partway.partitioner.profile.measure import (
    Round,
    StageTimes,
    check_quiet,
    processor_waits,
    stage_times,
    timed_round,
)
from partway.proto.tensors import Values

BLOCKS = 5
MOST_KERNELS = 400_000
"""Of one stage over all runs: ONNX Runtime's profiler keeps a million events and drops the rest."""


def measure_operators(
    chain: Chain,
    engine: Engine,
    read: Callable[[Stage], bytes],
    values: Values,
    runs: int,
    force: bool = False,
) -> tuple[StageTimes, OperatorProfile]:
    """Run the chain about ``runs`` times with the engine's profiler and as often without, in alternating blocks.

    In turns, because a machine changes its speed; of several runs, because each way has weights of its own that the
    other drives out of the caches. The first run of every turn only warms up. Raises InputError when the engine has no
    profiler, or the machine was busy and ``force`` is not set.
    """
    if not isinstance(engine, TimesOperators):
        raise InputError(f"the engine {engine.name} does not time operators; leave out --operators")
    most = MOST_KERNELS // max(stage.operators + 1 for stage in chain.plan.stages)
    turn = max(min(runs, most) // BLOCKS, 1)
    plain: list[Round] = []
    watched: list[Round] = []
    with ExitStack() as stack:
        stages = [stack.enter_context(engine.watch(read(stage))) for stage in chain.plan.stages]
        with_profiler = Chain(chain.plan, stages)
        waited_s = stack.enter_context(processor_waits())
        for _ in range(BLOCKS):
            for one, rounds in ((chain, plain), (with_profiler, watched)):
                rounds += [timed_round(one, values, waited_s) for _ in range(1 + turn)]
        counted = [at for at in range(len(plain)) if at % (1 + turn)]
        times, slower = (stage_times([rounds[at] for at in counted]) for rounds in (plain, watched))
        for measured in () if force else (times, slower):
            check_quiet(measured)
        operators = [
            row for k, stage in enumerate(stages) for row in fitted(k, stage.operators(counted), times.stage_s[k])
        ]
    slowdown = sum(slower.stage_s) / (sum(times.stage_s) or 1.0)
    return times, OperatorProfile(tuple(operators), slowdown, len(counted))


def fitted(stage: int, seen: Sequence[OperatorTiming], stage_s: float) -> list[OperatorSeconds]:
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
    corrected_s = sum(times)
    scale = stage_s / corrected_s if corrected_s > stage_s else 1.0
    rows = [
        OperatorSeconds(one.name, one.kind, stage, max(time_s, 0.0) * scale, one.calls, one.fused)
        for one, time_s in zip(seen, times, strict=True)
    ]
    overhead = max(stage_s - sum(row.time_s for row in rows), 0.0)
    return [*rows, OperatorSeconds(None, OVERHEAD, stage, overhead, 0)]
