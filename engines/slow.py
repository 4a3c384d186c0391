"""A device slower than this machine: an engine that runs every stage several times over.

Real work at the real pace of memory and caches, with the interpreter lock released as in any inference; nothing sleeps
and nothing is throttled in bursts, as a CPU quota would. What is not the engine (reading, coding, sending) is not
slowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from partway.engines.engine import Engine, LoadedStage, Outputs
from partway.proto.tensors import TensorSpec, Values


@dataclass(frozen=True, slots=True)
class SlowStage:
    """A stage that takes ``times`` as long."""

    stage: LoadedStage
    times: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """See LoadedStage."""
        return self.stage.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """See LoadedStage."""
        return self.stage.outputs

    def run(self, values: Values) -> Outputs:
        """See LoadedStage."""
        for _ in range(self.times - 1):
            self.stage.run(values)
        return self.stage.run(values)


@dataclass(frozen=True, slots=True)
class SlowEngine:
    """Another engine, its stages slowed down."""

    engine: Engine
    times: int

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

    def load(self, stage: bytes) -> SlowStage:
        """See Engine."""
        return SlowStage(self.engine.load(stage), self.times)
