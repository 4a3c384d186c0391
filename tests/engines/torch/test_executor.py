"""Modules run on named tensors: checks, batch buckets, captured graphs, memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partway.engines.interface import OutOfMemory
from partway.errors import InputError

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from tests.support.torch_stages import ONNX, TORCH, Capturing, F, given, graph, layer  # noqa: E402

from partway.engines.torch.engine import TorchEngine  # noqa: E402

helper, Kind = onnx.helper, onnx.TensorProto


@pytest.mark.parametrize("x", [np.zeros((2, 5), F), np.zeros((2, 6), np.float64), np.zeros(6, F)])
def test_tensors_that_do_not_fit_are_refused(x: Any) -> None:
    """Shape, type, rank."""
    with pytest.raises(InputError, match=r"torch refused the tensors: x is float32 \['any', 6\]"):
        TORCH.load(layer().SerializeToString()).run({"x": x})


def test_batches_are_filled_up_to_buckets() -> None:
    """One graph per bucket, whatever comes; beyond the largest, one per size. Answers are each frame's own."""
    device = Capturing()
    stage = TorchEngine(1, place=device).load(layer().SerializeToString())
    plain = TORCH.load(layer().SerializeToString())
    for batch in (3, 4, 1, 2, 5, 8, 64, 65, 3, 0):
        made = stage.run(given(batch, seed=batch))["y"]
        np.testing.assert_allclose(made, plain.run(given(batch, seed=batch))["y"], rtol=1e-5, atol=1e-6)
    assert device.batches == [4, 1, 2, 8, 64, 65, 0]
    assert (stage.buckets, plain.buckets) == ((1, 2, 4, 8, 16, 32, 64), ())


def test_a_batch_that_mixes_its_samples_is_not_filled_up() -> None:
    """Its range is that of its own numbers."""
    n = helper.make_node
    nodes = [n("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), n("DequantizeLinear", ["q", "s", "z"], ["y"])]
    device = Capturing()
    values = {"x": given(3)["x"] + 5}
    stage = TorchEngine(1, place=device).load(graph(nodes, {}).SerializeToString())
    want = ONNX.load(graph(nodes, {}).SerializeToString()).run(values)["y"]
    np.testing.assert_allclose(stage.run(values)["y"], want, rtol=1e-4)
    assert device.batches == [3]


def test_no_memory_is_one_error_and_a_smaller_batch_runs() -> None:
    """What was kept is given back first."""
    device = Capturing()
    device.most = 8
    stage = TorchEngine(1, place=device).load(layer().SerializeToString())
    with pytest.raises(OutOfMemory, match="no memory for this batch: CUDA out of memory"):
        stage.run(given(9))
    assert device.freed == 1
    assert stage.run(given(8))["y"].shape == (8, 6)


def test_answers_share_no_memory_with_what_came_in_or_what_stays() -> None:
    """An input handed on, a weight handed out, one value under two shapes."""
    n = helper.make_node
    nodes = [n("Identity", ["x"], ["y"]), n("Identity", ["w"], ["c"]), n("Unsqueeze", ["x", "axis"], ["u"])]
    model = graph(nodes, {"w": np.ones(3, F), "axis": np.array([0])})
    model.graph.output.extend(helper.make_tensor_value_info(name, 1, None) for name in ("c", "u"))
    for output in model.graph.output[1:]:
        output.type.tensor_type.shape.dim.extend(
            onnx.TensorShapeProto.Dimension() for _ in range(1 if output.name == "c" else 3)
        )
    stage = TORCH.load(model.SerializeToString())
    values = given(2)
    first = stage.run(values)
    cache = values["x"].copy()
    for array in first.values():
        array += 1
    assert np.array_equal(values["x"], cache)
    again = stage.run(values)
    assert np.array_equal(again["c"], np.ones(3, F))
    assert np.array_equal(first["y"], cache + 1) and np.array_equal(first["u"][0], cache + 1)
