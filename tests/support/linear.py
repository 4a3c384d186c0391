"""Chains of matrices of any size, for tests that need answers which depend on their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan, Stage
from partway.proto.tensors import TensorSpec

Array = np.ndarray[Any, Any]
CLASSIFIES = {"kind": "classify", "value": "y", "softmax": True}


@dataclass(frozen=True)
class Linear:
    """One stage: the matrix product of its only input, flattened."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: Array

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The product, in the shape of the output."""
        given = values[self.inputs[0].name]
        shape = (len(given), *(size or 1 for size in self.outputs[0].shape[1:]))
        return {self.outputs[0].name: (given.reshape(len(given), -1) @ self.weights).reshape(shape)}


def linear_chain(
    *shapes: tuple[int, ...], output: Mapping[str, Any] = CLASSIFIES, engine: str = "linear", seed: int = 0
) -> Chain:
    """Stages x -> a -> … -> y between values of these shapes, batch apart, with random weights."""
    rng = np.random.default_rng(seed)
    names = ["x", *(chr(ord("a") + at) for at in range(len(shapes) - 2)), "y"]
    specs = [TensorSpec(name, "float32", (None, *shape)) for name, shape in zip(names, shapes, strict=True)]
    loaded, stages = [], []
    for before, after in pairwise(specs):
        sides = (before.elements(), after.elements())
        weights = (rng.standard_normal(sides) / np.sqrt(sides[0])).astype(np.float32)
        loaded.append(Linear((before,), (after,), weights))
        stages.append(Stage(f"{after.name}.bin", "0" * 64, 1, (before,), (after,), 1))
    cuts = tuple(Cut((name,)) for name in names)
    tensors = {spec.name: spec for spec in specs}
    plan = Plan("linear", "0" * 64, engine, tuple(stages), cuts, tensors, ("x",), ("y",), output=dict(output))
    return Chain(plan, loaded)


def smooth_frames(count: int, shape: Sequence[int], seed: int = 1) -> list[Array]:
    """Frames [1, channels, height, width] whose neighbouring pixels and channels are alike."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    down, right = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    frames = []
    for _ in range(count):
        base, slope, tilt = rng.standard_normal(3)
        plane = base + slope * down + tilt * right
        mixed = rng.standard_normal(channels)[:, None, None] * 0.1 + np.arange(1, channels + 1)[:, None, None] * plane
        frames.append((mixed + 0.01 * rng.standard_normal((channels, height, width)))[None].astype(np.float32))
    return frames
