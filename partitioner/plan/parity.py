"""Check that a sliced model equals the model: at every k, prefix and suffix must answer like the unsplit model.

The whole is the chain run in one go, or the original model file where it is at hand; each k is run the way two machines
do it, with only the values of the cut handed across.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.state import StreamState
from partway.proto.tensors import Values

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-5
"""Relative, for float32: a split changes which operators are fused, and fused ones round less often."""
HALF_TOLERANCE = 4 * 2.0**-10
"""For models with float16 values: four times the spacing of float16 numbers at 1."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The difference of split k from the unsplit model: largest difference over largest magnitude, over all inputs.

    ``tolerance`` is the largest error that rounding explains.
    """

    k: int
    cut: str
    error: float
    exact: bool
    inputs: int
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """Within the tolerance, or bit-equal."""
        return self.exact or self.error <= self.tolerance


def tolerance_of(plan: Plan) -> float:
    """The largest relative error that rounding explains: by the least precise floats that cross or come out."""
    return HALF_TOLERANCE if any(spec.dtype == "float16" for spec in plan.tensors.values()) else TOLERANCE


def relative_error(unsplit: Array, split: Array) -> float:
    """max|whole - split| / max|whole|; infinite when shapes, dtypes or the places of NaN and infinity differ."""
    if unsplit.shape != split.shape or unsplit.dtype != split.dtype:
        return float("inf")
    if np.array_equal(unsplit, split, equal_nan=np.issubdtype(unsplit.dtype, np.inexact)):
        return 0.0
    a, b = unsplit.astype(np.float64), split.astype(np.float64)
    odd = ~np.isfinite(a) | ~np.isfinite(b)
    if not np.array_equal(a[odd], b[odd], equal_nan=True):
        return float("inf")
    a, b = a[~odd], b[~odd]
    return float(np.max(np.abs(a - b), initial=0.0) / (np.max(np.abs(a), initial=0.0) or 1.0))


def run_split(chain: Chain, values: Values, k: int) -> dict[str, Array]:
    """Prefix, then a suffix that sees only what crosses; outputs the prefix made stay on the device."""
    stages = len(chain.plan.stages)
    prefix = chain.run(values, 0, k)
    crossing = {name: prefix[name] for name in chain.plan.cuts[k].values}
    suffix = chain.run(crossing, k, stages)
    return {name: suffix[name] if name in suffix else prefix[name] for name in chain.plan.outputs}


def verify(
    chain: Chain, inputs: Sequence[Values], references: Sequence[Mapping[str, Array]] | None = None
) -> list[Parity]:
    """Parity of every k on every input, which are one sequence if the model keeps state between frames.

    ``references``: the original model's answers; without them the chain in one go.
    """
    stages = len(chain.plan.stages)
    reference = references or sequence(chain.plan, inputs, lambda values: chain.answer(chain.run(values, 0, stages)))
    return [_parity(chain, k, inputs, reference) for k in chain.plan.splits]


def sequence(
    plan: Plan, inputs: Sequence[Values], run: Callable[[Values], Mapping[str, Array]]
) -> list[Mapping[str, Array]]:
    """The outputs of every frame, each run with the state that the one before left. Without state, frames are apart."""
    state, found = StreamState(plan), []
    for values in inputs:
        found.append(run(state.before(values)))
        state.after(found[-1])
    return found


def _parity(chain: Chain, k: int, inputs: Sequence[Values], reference: Sequence[Mapping[str, Array]]) -> Parity:
    splits = sequence(chain.plan, inputs, lambda values: run_split(chain, values, k))
    errors = [
        relative_error(unsplit[name], split[name])
        for unsplit, split in zip(reference, splits, strict=True)
        for name in chain.plan.outputs
        if name in unsplit  # an original that keeps its state in variables does not show it
    ]
    worst = max(errors, default=0.0)
    return Parity(k, str(chain.plan.cuts[k]), worst, worst == 0.0, len(inputs), tolerance_of(chain.plan))
