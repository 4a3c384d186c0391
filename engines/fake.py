"""An engine without a model: stages that take a given time and return zeros. For tests, benchmarks and users' own."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from partway.engines.interface import EngineEntry, Outputs
from partway.errors import InputError
from partway.proto.tensors import TensorSpec, Values


@dataclass(frozen=True, slots=True)
class FakeStage:
    """Waits ``stage_s`` seconds, then returns its first input for outputs of its shape and zeros for the others."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    stage_s: float = 0.0
    sleep: Callable[[float], None] = time.sleep

    def run(self, values: Values) -> Outputs:
        """See the class; the first dimension of the first input is the batch."""
        if self.stage_s:
            self.sleep(self.stage_s)
        first = values[self.inputs[0].name]
        shape = (self.inputs[0].dtype, self.inputs[0].shape)
        return {s.name: first if (s.dtype, s.shape) == shape else self._zeros(s, first) for s in self.outputs}

    def _zeros(self, spec: TensorSpec, first: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        batch = first.shape[0] if first.ndim else 1
        return np.zeros([batch if size is None else size for size in spec.shape], spec.dtype)


@dataclass(frozen=True, slots=True)
class FakeEngine:
    """Loads what :func:`fake_stage` wrote. Obeys the same protocol as the real engines."""

    name: str = "fake"
    version: str = "1"
    threads: int = 1
    sleep: Callable[[float], None] = field(default=time.sleep)

    def load(self, stage: bytes) -> FakeStage:
        """Inverse of fake_stage; InputError on anything else."""
        try:
            data = json.loads(stage)
            inputs, outputs = (tuple(TensorSpec.from_json(t) for t in data[key]) for key in ("inputs", "outputs"))
            stage_s = float(data["stage_s"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"not a fake stage: {error}") from error
        if not inputs or not 0 <= stage_s < math.inf:
            raise InputError("not a fake stage: it has no inputs, or its seconds are negative or infinite")
        return FakeStage(inputs, outputs, stage_s, self.sleep)


def fake_stage(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], stage_s: float = 0.0) -> bytes:
    """The file of a fake stage that takes ``stage_s`` seconds."""
    text = {"inputs": [t.to_json() for t in inputs], "outputs": [t.to_json() for t in outputs], "stage_s": stage_s}
    return json.dumps(text, sort_keys=True).encode()


FAKE = EngineEntry("fake", lambda threads, device: FakeEngine(threads=threads or 1))
