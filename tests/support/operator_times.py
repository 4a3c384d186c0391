"""What the operators of a model take on ONNX Runtime."""

from typing import Any

from tests.support.chains import feeds_for

from partway.engines.interface import OperatorTiming
from partway.engines.onnxruntime.engine import OnnxEngine

RUNS = 12


def times(model: Any, sizes: dict[str, tuple[int, ...]] | None = None) -> list[OperatorTiming]:
    """What the model's operators take, warm."""
    feeds = feeds_for(model, sizes or {}, 1)
    with OnnxEngine(1).watch(model.SerializeToString()) as stage:
        for _ in range(RUNS):
            stage.run(feeds)
        return list(stage.operators(range(2, RUNS)))


def by_name(found: list[OperatorTiming]) -> dict[str, OperatorTiming]:
    """Those that belong to an operator."""
    return {one.name: one for one in found if one.name is not None}
