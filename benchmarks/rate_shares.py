"""Measure the share of a model's time before a cut: both halves timed alternately on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rate_cases import Case
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.measure import measure
from partway.partitioner.slicing import make_plan

BLOCKS = 150
"""Runs of either half; of these the quickest, so that what others do on the machine counts for little."""


def shares(case: Case, folder: Path) -> list[float]:
    """Before each split, the ends included, with the plan's own engine."""
    if case.file is None:
        times = measure(case.chain, case.halves[0][0].values, 3.0).stage_s
        return [sum(times[:k]) / sum(times) for k in range(len(times) + 1)]
    return [0.0, *(_share(_engine_halves(case, k, folder)) for k in range(1, len(case.chain.plan.stages))), 1.0]


def builtin_shares(case: Case, folder: Path) -> list[float] | None:
    """The same with TFLite's builtin kernels, without XNNPACK; None for other models and without LiteRT."""
    if case.file is None or case.file.suffix != ".tflite":
        return None
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def runner(stage: Path) -> Callable[[], None]:
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(str(stage), num_threads=1, experimental_op_resolver_type=plain)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], noise(detail["shape"], np.dtype(detail["dtype"])))
        invoke: Callable[[], None] = interpreter.invoke
        return invoke

    found = [0.0]
    for k in range(1, len(case.chain.plan.stages)):
        plan = _sliced(case, k, folder)
        found.append(_share([runner(folder / f"cut{k}" / stage.file) for stage in plan.stages]))
    return [*found, 1.0]


def noise(shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    """Random input of this shape and dtype."""
    values = np.random.default_rng(0).standard_normal(tuple(shape)) * (1 if dtype.kind == "f" else 30)
    return values.astype(dtype) if dtype.kind != "u" else (values + 128).clip(0, 255).astype(dtype)


def _sliced(case: Case, k: int, folder: Path) -> Plan:
    assert case.file is not None
    place = folder / f"cut{k}"
    place.mkdir(exist_ok=True)
    return make_plan(case.file, place, ",".join(case.chain.plan.cuts[k].values))


def _engine_halves(case: Case, k: int, folder: Path) -> list[Callable[[], None]]:
    plan = _sliced(case, k, folder)
    chain = load_folder(folder / f"cut{k}", plan, engine_for(plan.engine, 1))
    values = dict(case.halves[0][0].values)
    live = chain.run(values, 0, 1)
    return [lambda: _ignored(chain.run(values, 0, 1)), lambda: _ignored(chain.run(live, 1, 2))]


def _ignored(_: object) -> None:
    return None


def _share(halves: Sequence[Callable[[], None]]) -> float:
    times: list[list[float]] = [[] for _ in halves]
    for _ in range(BLOCKS):
        for run, seconds in zip(halves, times, strict=True):
            begun_s = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begun_s)
    before, after = map(min, times)
    return before / (before + after)
