"""Fit codecs to the tensors that cross at a split, weighing errors by their effect on the model's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from partway.engines.registry import layout_of
from partway.partitioner.calibrate.fit_transform import fit
from partway.partitioner.calibrate.logits import LastStage
from partway.partitioner.calibrate.sensitivity import Response
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.transform.codebook import to_json
from partway.proto.codecs.transform.codec import Transform
from partway.proto.codecs.transform.dct_klt import MAX_SIDE
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
Live = Mapping[str, Array]
QUALITIES = (15, 20, 25, 30, 33, 36, 40, 44, 48, 53, 60, 70, 85, 100)
"""Mean quantizer steps that are tried, per cent of the tensor's standard deviation."""
LEAST_FRAMES = 8
LEAST_VALUES = 256
MOST_VALUES = 1 << 25
"""The most values in all samples of a fit; larger tensors are fitted on fewer frames."""


def fits(spec: TensorSpec) -> bool:
    """Whether transform coding could suit this tensor: a batch first, at most three dimensions after it."""
    rest = spec.shape[1:]
    sizes = [size for size in rest if size is not None]
    if not 1 <= len(rest) <= 3 or len(sizes) < len(rest) or spec.dtype not in ("float32", "int8", "uint8", "float16"):
        return False
    return LEAST_VALUES <= spec.elements() <= MOST_VALUES // LEAST_FRAMES and max(sizes) <= max(MAX_SIDE, 4096)


def fit_split(chain: Chain, k: int, lives: Sequence[Live], last_stage: LastStage | None = None) -> list[dict[str, Any]]:
    """Entries of ``Plan.codecs`` for the tensors that cross at k, from their values in every frame.

    ``last_stage`` answers in place of the chain's own last stage.
    """
    plan = chain.plan
    if len(lives) < LEAST_FRAMES:
        return []
    return [
        to_json(spec.name, qualities(chain, k, spec, lives, last_stage)) for spec in plan.coded(k) if _suits(plan, spec)
    ]


def _suits(plan: Plan, spec: TensorSpec) -> bool:
    sides = spec.shape[1:] if layout_of(plan.engine) == "NHWC" else spec.shape[2:]
    return fits(spec) and all(size is not None and size <= MAX_SIDE for size in sides[:2] if len(spec.shape) > 2)


def qualities(
    chain: Chain, k: int, spec: TensorSpec, lives: Sequence[Live], last_stage: LastStage | None
) -> list[Transform]:
    """Codecs ``t15`` to ``t100`` for one tensor."""
    most = max(LEAST_FRAMES, MOST_VALUES // spec.elements())
    samples = np.stack([live[spec.name][0] for live in lives[:most]])
    fitted = fit(samples, layout_of(chain.plan.engine), answers(chain, k, spec.name, lives, last_stage))
    return [fitted.transform(f"t{quality}", quality / 100) for quality in QUALITIES]


def answers(chain: Chain, k: int, value: str, lives: Sequence[Live], last_stage: LastStage | None) -> Response:
    """A function from replaced values of ``value`` to the model's answers."""
    last = len(chain.plan.stages)

    def response(decoded: Array, number: int) -> Array:
        found = []
        for sample in decoded:
            live = {**lives[number], value: sample[None]}
            if last_stage is None:
                found.append(_flat(chain.run(live, k, last), chain.plan.outputs))
            else:
                found.append(last_stage(chain.run(live, k, last - 1)))
        return np.stack(found)

    return response


def relative_error(live: Live, unsplit: Live, outputs: Sequence[str]) -> float:
    """Length of the difference of all outputs over the length of the right ones; 1 if an output's size differs."""
    ours, right = _flat(live, outputs), _flat(unsplit, outputs)
    if ours.shape != right.shape:
        return 1.0
    return float(np.linalg.norm(ours - right) / (np.linalg.norm(right) or 1.0))


def cosine(live: Live, unsplit: Live, outputs: Sequence[str]) -> float:
    """Cosine of the angle between all outputs and the right ones; 0 if an output's size differs."""
    ours, right = _flat(live, outputs), _flat(unsplit, outputs)
    if ours.shape != right.shape:
        return 0.0
    return float(ours @ right / (np.linalg.norm(ours) * np.linalg.norm(right) or 1.0))


def _flat(live: Live, outputs: Sequence[str]) -> Array:
    return np.concatenate([np.asarray(live[name], np.float64).reshape(-1) for name in outputs])
