"""Small ONNX stages for the torch engine, and a processor that captures as a GPU does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch

from partway.engines.onnxruntime.engine import OnnxEngine
from partway.engines.torch.device import Cpu
from partway.engines.torch.engine import TorchEngine

helper, numpy_helper = onnx.helper, onnx.numpy_helper
F = np.float32
TORCH, ONNX = TorchEngine(1), OnnxEngine(1)


class Capturing(Cpu):
    """A processor that records and repeats, as a GPU does, and counts."""

    def __init__(self) -> None:
        super().__init__(captures=True)
        self.batches: list[int] = []
        self.freed = 0
        self.most = 1000

    def capture(self, work: Any) -> Any:
        repeat, made = super().capture(work)
        if len(made[0]) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches.append(len(made[0]))
        return repeat, made

    def free(self) -> None:
        self.freed += 1


def graph(
    nodes: list[Any], weights: dict[str, Any], x: tuple[Any, ...] = ("n", 6), y: tuple[Any, ...] = ("n", 6)
) -> Any:
    """A model x -> y of float32."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, x)],
        [helper.make_tensor_value_info("y", 1, y)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def layer(fold: str = "x", out: str = "y") -> Any:
    """One layer with its weights."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((6, 6)).astype(F), "b": rng.standard_normal(6).astype(F)}
    nodes = [helper.make_node("Gemm", [fold, "w", "b"], ["h"]), helper.make_node("Relu", ["h"], [out])]
    return graph(nodes, weights)


def given(batch: int, seed: int = 0) -> dict[str, Any]:
    """An input."""
    return {"x": np.random.default_rng(seed).standard_normal((batch, 6)).astype(F)}


def both(model: Any, values: dict[str, Any]) -> None:
    """The same from both engines."""
    stage = bytes(model.SerializeToString())
    want, got = (engine.load(stage).run(values) for engine in (ONNX, TORCH))
    for name, expected in want.items():
        assert (got[name].dtype, got[name].shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5)
