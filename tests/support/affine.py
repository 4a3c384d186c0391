"""A small chain that computes something, so that a wrong answer shows: x -> a -> b -> y, each stage a matrix."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.result import FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.edge.transport.fake import Behaviour, FakeCloud, answer_all
from partway.engines.interface import Outputs
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.proto.tensors import TensorSpec, Values

SIZES = (4, 6, 3, 2)
STAGES = len(SIZES) - 1
OUTPUT = {"kind": "classify", "value": "y", "softmax": True, "labels": ["no", "yes"]}


@dataclass(frozen=True)
class Affine:
    """One stage: the matrix product of its only input."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: "np.ndarray[Any, Any]"

    def run(self, values: Values) -> Outputs:
        return {self.outputs[0].name: values[self.inputs[0].name] @ self.weights}


def affine_chain(seed: int = 0, batch: int | None = None) -> Chain:
    """Three affine stages; ``batch`` fixes the first dimension of every tensor."""
    rng = np.random.default_rng(seed)
    names = ("x", "a", "b", "y")
    specs = [TensorSpec(name, "float32", (batch, size)) for name, size in zip(names, SIZES, strict=True)]
    loaded, stages = [], []
    for before, after in pairwise(specs):
        weights = rng.standard_normal((int(before.shape[1] or 0), int(after.shape[1] or 0))).astype(np.float32)
        loaded.append(Affine((before,), (after,), weights))
        stages.append(Stage(f"{after.name}.bin", "0" * 64, 1, (before,), (after,), 1))
    cuts = tuple(Cut((name,)) for name in names)
    tensors = {spec.name: spec for spec in specs}
    plan = Plan("affine", "0" * 64, "affine", tuple(stages), cuts, tensors, ("x",), ("y",), output=OUTPUT)
    return Chain(plan, loaded)


def samples(count: int, seed: int = 1) -> list[Sample]:
    """Random inputs, each different."""
    rng = np.random.default_rng(seed)
    made = (rng.standard_normal((1, SIZES[0])).astype(np.float32) for _ in range(count))
    return [Sample(f"sample {index}", values={"x": values}) for index, values in enumerate(made)]


def runner_on(cloud: FakeCloud, **options: Any) -> Runner:
    """A runner whose stream leads to the fake cloud. What never answers is taken for lost at once."""
    return Runner(cloud.chain, Encoder(cloud.chain.plan), cloud.open_stream, **{"stall_s": 0.0, **options})


def then_all(frames: Sequence[Sample], cloud: FakeCloud) -> Iterator[Sample]:
    """The frames, and when they are through, a cloud that answers whatever still waits."""
    yield from frames
    answer_all(cloud)


def run_through(
    behaviour: Behaviour, count: int, k: int = 1, codec: str = "raw", **options: Any
) -> tuple[FakeCloud, list[FrameResult]]:
    """``count`` frames at one split through a fake cloud that behaves so, the end of the input included."""
    cloud = FakeCloud(affine_chain(), behaviour)
    runner = runner_on(cloud, **options)
    frames = then_all(samples(count), cloud)
    return cloud, list(runner.run(frames, lambda: Candidate(k, codec)))


def assert_each_answered_once(results: Sequence[FrameResult], count: int) -> None:
    """Ids in order without a gap, and for each its own answer, whoever gave it."""
    chain = affine_chain()
    assert [result.id for result in results] == list(range(count))
    for result, sample in zip(results, samples(count), strict=True):
        assert result.name == sample.name
        right = chain.answer(chain.run(sample.tensors(None), 0, STAGES))
        np.testing.assert_allclose(result.outputs["y"], right["y"], rtol=1e-5, atol=1e-5)
