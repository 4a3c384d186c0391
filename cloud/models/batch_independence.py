"""Checks whether frames may share a batch: a model that mixes samples must not mix those of two devices."""

from __future__ import annotations

import numpy as np

from partway.errors import PartwayError
from partway.partitioner.plan.chain import Chain
from partway.partitioner.profile.measure import sample_values
from partway.proto.tensors import Values

TOLERANCE = 1e-3
"""Relative to the largest value. Other batch sizes may round differently; mixing changes more than this."""


def independent(chain: Chain) -> bool:
    """Whether two random samples give the same answers together as alone.

    The values of the samples differ much in size, so that a mean or a maximum over the batch is visible.
    """
    alone = [dict(sample_values(chain, seed)) for seed in (0, 1)]
    alone[1] = {name: _larger(array) for name, array in alone[1].items()}
    together = {name: np.concatenate([values[name] for values in alone]) for name in alone[0]}
    try:
        apart, joint = [_answers(chain, values) for values in alone], _answers(chain, together)
    except PartwayError:
        return False
    return all(_alike(np.concatenate([answers[name] for answers in apart]), array) for name, array in joint.items())


def _larger(array: np.ndarray) -> np.ndarray:
    return (array * 3 + 2).astype(array.dtype) if array.dtype.kind == "f" else array


def _answers(chain: Chain, values: Values) -> Values:
    return chain.answer(chain.run(values, 0, len(chain.stages)))


def _alike(apart: np.ndarray, joint: np.ndarray) -> bool:
    if apart.shape != joint.shape:
        return False
    if apart.dtype.kind != "f":
        return bool(np.array_equal(apart, joint))
    scale = float(np.abs(apart[np.isfinite(apart)]).max(initial=0.0)) or 1.0
    return bool(np.allclose(apart, joint, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True))
