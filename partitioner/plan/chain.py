"""The chain: every stage of a plan loaded on an engine, run from any cut to any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from partway.engines.interface import Engine, LoadedStage, Outputs, StaysOnDevice, TakesData
from partway.engines.registry import engine_for
from partway.errors import InputError, MissingPackage
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.plan_file import read_stage
from partway.partitioner.plan.stage_files import open_data
from partway.proto.protowire import FileBytes
from partway.proto.tensors import Values


class Chain:
    """The loaded stages of one plan. A split is a number: run ``0..k`` here and ``k..n`` there.

    A device without room for all of them holds the first ones; ``complete`` tells whether it can answer by itself.
    """

    def __init__(self, plan: Plan, stages: Sequence[LoadedStage]) -> None:
        self.plan = plan
        self.stages = tuple(stages)
        self.complete = len(self.stages) == len(plan.stages)
        self._stays = bool(self.stages) and all(isinstance(stage, StaysOnDevice) for stage in self.stages)
        self._ranges: dict[tuple[int, int], LoadedStage] = {}
        self._joining = Lock()
        self._specs = {spec.name: spec for stage in plan.stages for spec in (*stage.inputs, *stage.outputs)}

    @property
    def buckets(self) -> tuple[int, ...]:
        """The batch sizes that the engine prefers; empty where all are alike."""
        sizes = {stage.buckets for stage in self.stages if isinstance(stage, StaysOnDevice)} if self._stays else set()
        return sizes.pop() if len(sizes) == 1 else ()

    def run(self, values: Values, first: int, last: int) -> Outputs:
        """Run stages ``first`` to ``last`` (exclusive) on the values of cut ``first``.

        Returns every value alive at cut ``last``: what was handed in, and what the stages made.
        """
        if self._stays and first < min(last, len(self.stages)):
            return {**values, **self._as_one(first, last).run(values)}
        live: dict[str, np.ndarray[Any, Any]] = dict(values)
        for stage in self.stages[first:last]:
            live.update(stage.run(live))
        return live

    def advance(self, values: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
        """Like ``run``, but results stay on the engine's device, for ``advance``, ``join`` and ``fetch``."""
        if not self._stays or first >= min(last, len(self.stages)):
            return dict(self.run(values, first, last))
        stage = self._as_one(first, last)
        assert isinstance(stage, StaysOnDevice)
        return {**values, **stage.advance(values)}

    def join(self, parts: Sequence[Any]) -> Any:
        """One value of several frames as a batch, along the first dimension; its slices are the frames again."""
        stage = self.stages[0] if self._stays else None
        return stage.join(parts) if isinstance(stage, StaysOnDevice) else np.concatenate(parts)

    def fetch(self, values: Mapping[str, Any]) -> Outputs:
        """The model's outputs from the results of ``advance`` as arrays of the announced types, and all other arrays.

        Other device values are left out.
        """
        stage = self.stages[0] if self._stays else None
        if not isinstance(stage, StaysOnDevice):
            return dict(values)
        fetched = {n: v for n, v in values.items() if n in self.plan.outputs or isinstance(v, np.ndarray)}
        return stage.fetch(fetched, self._specs)

    def _as_one(self, first: int, last: int) -> LoadedStage:
        """A range of stages as one, created on first use; its outputs are what later stages or the answer need."""
        with self._joining:
            found = self._ranges.get((first, last))
            if found is None:
                head, *others = self.stages[first:last]
                assert isinstance(head, StaysOnDevice)
                outputs = {*self.plan.cuts[min(last, len(self.stages))].values, *self.plan.outputs}
                found = self._ranges[first, last] = head.followed_by(others, outputs)
            return found

    def timed(self, values: Values) -> tuple[Outputs, list[float]]:
        """Run all stages that are here; returns the live values and the seconds each stage took."""
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


def choose_engine(plan: Plan, name_or_auto: str = "auto", threads: int = 0) -> Engine:
    """The named engine; with ``auto`` the plan's own, or a twin's if that is not installed.

    Raises InputError when the plan has no stages for it, MissingPackage when no engine of the plan is installed.
    """
    if name_or_auto != "auto":
        plan.stages_on(name_or_auto)
        return engine_for(name_or_auto, threads)
    missing: MissingPackage | None = None
    for name in plan.engines:
        try:
            return engine_for(name, threads)
        except MissingPackage as error:
            missing = missing or error
    assert missing is not None
    raise missing


def load_chain(
    plan: Plan,
    engine: Engine,
    read: Callable[[Stage], bytes],
    data: Callable[[Stage], FileBytes] | None = None,
    most: int | None = None,
) -> Chain:
    """Load every stage of a plan as this engine has it, or the first ``most``; ``read`` gives the bytes of its file.

    ``data`` gives the checked bytes of a stage's second file, where it has one. Raises InputError when the plan has no
    stages for the engine, or the tensors of a stage are not those the plan announces.
    """
    return Chain(plan, [_load(stage, engine, read, data) for stage in plan.stages_on(engine.name)[:most]])


def load_folder(folder: Path, plan: Plan, engine: Engine, most: int | None = None) -> Chain:
    """Load every stage of a plan, or the first ``most``, from the files in a folder, each checked against its digest.

    Raises InputError.
    """
    return load_chain(plan, engine, partial(read_stage, folder), partial(open_data, folder), most)


def _load(
    stage: Stage, engine: Engine, read: Callable[[Stage], bytes], data: Callable[[Stage], FileBytes] | None
) -> LoadedStage:
    loaded = engine.load(read(stage)) if stage.data is None else _load_both(stage, engine, read, data)
    for what, planned, found in (("input", stage.inputs, loaded.inputs), ("output", stage.outputs, loaded.outputs)):
        missing = {spec.name for spec in planned} ^ {spec.name for spec in found}
        if missing:
            raise InputError(f"{stage.file} and its plan disagree on {what} {', '.join(sorted(missing))}; slice again")
    return loaded


def _load_both(
    stage: Stage, engine: Engine, read: Callable[[Stage], bytes], data: Callable[[Stage], FileBytes] | None
) -> LoadedStage:
    assert stage.data is not None
    if data is None or not isinstance(engine, TakesData):
        raise InputError(f"{stage.file} keeps weights in {stage.data.file}, which the engine {engine.name} cannot read")
    return engine.load_with_data(read(stage), stage.data.file, data(stage))
