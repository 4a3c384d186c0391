"""A device slower than this machine, in two ways.

SlowEngine runs every stage several times over: real work at the real pace of memory and caches. PacedEngine runs it
once and then waits until the stage has taken as long as it should: on a machine that does other things, too, its times
hold, and the rest of its processor stays free (docs/decisions/0008-a-slow-device-that-waits.md). Both release the
interpreter lock as any inference does; what is not the engine (reading, coding, sending) is not slowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter, sleep

from partway.engines.interface import Engine, LoadedStage, Outputs
from partway.errors import InputError
from partway.proto.tensors import TensorSpec, Values

SPIN_S = 1e-4
"""A sleep may end this late, so the end of a wait polls the clock."""


@dataclass(frozen=True, slots=True)
class _WrappingStage:
    """Another stage, with its tensors."""

    stage: LoadedStage

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """See LoadedStage."""
        return self.stage.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """See LoadedStage."""
        return self.stage.outputs


@dataclass(frozen=True, slots=True)
class SlowStage(_WrappingStage):
    """A stage that runs ``times`` times, and so takes as much longer."""

    times: int

    def run(self, values: Values) -> Outputs:
        """See LoadedStage."""
        for _ in range(self.times - 1):
            self.stage.run(values)
        return self.stage.run(values)


@dataclass(frozen=True, slots=True)
class PacedStage(_WrappingStage):
    """A stage that takes at least ``seconds``: it runs once and waits for the rest."""

    seconds: float

    def run(self, values: Values) -> Outputs:
        """See LoadedStage."""
        due_s = perf_counter() + self.seconds
        outputs = self.stage.run(values)
        if (remaining_s := due_s - perf_counter() - SPIN_S) > 0:
            sleep(remaining_s)
        while perf_counter() < due_s:
            pass
        return outputs


@dataclass(frozen=True, slots=True)
class _Wrapping:
    """Another engine, by its own name."""

    engine: Engine

    @property
    def name(self) -> str:
        """See Engine."""
        return self.engine.name

    @property
    def version(self) -> str:
        """See Engine."""
        return self.engine.version

    @property
    def threads(self) -> int:
        """See Engine."""
        return self.engine.threads


@dataclass(frozen=True, slots=True)
class SlowEngine(_Wrapping):
    """Another engine whose stages run ``times`` times over."""

    times: int

    def load(self, stage: bytes) -> SlowStage:
        """See Engine."""
        return SlowStage(self.engine.load(stage), self.times)


@dataclass(frozen=True, slots=True)
class PacedEngine(_Wrapping):
    """Another engine at the pace of another machine: ``stage_s`` maps each stage file's SHA-256 to its seconds."""

    stage_s: Mapping[str, float]

    def load(self, stage: bytes) -> PacedStage:
        """See Engine. Raises InputError for a stage without a time."""
        seconds = self.stage_s.get(sha256(stage).hexdigest())
        if seconds is None:
            raise InputError("the profile has no time for this stage; measure the plan again with `partway profile`")
        return PacedStage(self.engine.load(stage), seconds)
