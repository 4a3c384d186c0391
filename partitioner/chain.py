"""The chain: every stage of a plan loaded on an engine, run from any cut to any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from partway.engines.engine import Engine, LoadedStage, Outputs, engine_for
from partway.partitioner.plan import Plan, Stage
from partway.proto.errors import InputError, MissingPackage
from partway.proto.tensors import Values


class Chain:
    """The loaded stages of one plan. A split is a number: run ``0..k`` here and ``k..n`` there."""

    def __init__(self, plan: Plan, stages: Sequence[LoadedStage]) -> None:
        self.plan = plan
        self.stages = tuple(stages)

    def run(self, values: Values, first: int, last: int) -> Outputs:
        """Run stages ``first`` to ``last`` (exclusive) on the values of cut ``first``.

        Returns every value alive at cut ``last``: what was handed in, and what the stages made.
        """
        live: dict[str, np.ndarray[Any, Any]] = dict(values)
        for stage in self.stages[first:last]:
            live.update(stage.run(live))
        return live

    def timed(self, values: Values) -> tuple[Outputs, list[float]]:
        """Run the whole chain; returns the live values and the seconds each stage took."""
        live: dict[str, np.ndarray[Any, Any]] = dict(values)
        seconds = []
        for stage in self.stages:
            begun = perf_counter()
            live.update(stage.run(live))
            seconds.append(perf_counter() - begun)
        return live, seconds

    def answer(self, live: Values) -> Outputs:
        """The model's outputs out of the values alive at the end."""
        return {name: live[name] for name in self.plan.outputs}


def choose_engine(plan: Plan, wanted: str = "auto", threads: int = 0) -> Engine:
    """The engine asked for; with ``auto`` the plan's own, or a twin's where the plan's own is not installed.

    Raises InputError when the plan has no stages for it, MissingPackage when no engine of the plan is installed.
    """
    if wanted != "auto":
        plan.stages_on(wanted)
        return engine_for(wanted, threads)
    missing: MissingPackage | None = None
    for name in plan.engines:
        try:
            return engine_for(name, threads)
        except MissingPackage as error:
            missing = missing or error
    assert missing is not None
    raise missing


def load_chain(plan: Plan, engine: Engine, read: Callable[[Stage], bytes]) -> Chain:
    """Load every stage of a plan as this engine has it; ``read`` gives the bytes of a stage's file.

    Raises InputError when the plan has no stages for the engine, or a stage's tensors are not those the plan announces.
    """
    return Chain(plan, [_load(stage, engine, read) for stage in plan.stages_on(engine.name)])


def _load(stage: Stage, engine: Engine, read: Callable[[Stage], bytes]) -> LoadedStage:
    loaded = engine.load(read(stage))
    for what, planned, found in (("input", stage.inputs, loaded.inputs), ("output", stage.outputs, loaded.outputs)):
        missing = {spec.name for spec in planned} ^ {spec.name for spec in found}
        if missing:
            raise InputError(f"{stage.file} and its plan disagree on {what} {', '.join(sorted(missing))}; slice again")
    return loaded
