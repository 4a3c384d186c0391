"""Stages of the torch engine: second files, precision, several as one, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partway.errors import InputError

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from tests.support.torch_stages import ONNX, TORCH, Capturing, F, given, layer  # noqa: E402

from partway.engines.torch.engine import TorchEngine  # noqa: E402

helper, Kind = onnx.helper, onnx.TensorProto


def test_weights_in_a_second_file() -> None:
    """Read where they lie; without the file, or from any other, refused."""
    model = layer()
    want = ONNX.load(model.SerializeToString()).run(given(2))["y"]
    data = b""
    for weight in model.graph.initializer:
        raw = weight.raw_data
        weight.ClearField("raw_data")
        weight.data_location = Kind.EXTERNAL
        entries = {"location": "w.data", "offset": str(len(data)), "length": str(len(raw))}
        for key, value in entries.items():
            weight.external_data.add(key=key, value=value)
        data += raw
    stage = bytes(model.SerializeToString())
    np.testing.assert_allclose(TORCH.load_with_data(stage, "w.data", data).run(given(2))["y"], want, rtol=1e-5)
    with pytest.raises(InputError, match="a file that its plan does not name"):
        TORCH.load(stage)
    with pytest.raises(InputError, match=r"only other\.data beside it may be read"):
        TORCH.load_with_data(stage, "other.data", data)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_answers_in_the_declared_type(precision: str) -> None:
    """Computed in half, near the whole."""
    stage = TorchEngine(1, precision=precision).load(layer().SerializeToString())
    made, want = stage.run(given(4))["y"], ONNX.load(layer().SerializeToString()).run(given(4))["y"]
    assert made.dtype == F
    assert 0 < np.abs(made - want).max() < 0.1
    assert stage.advance(given(4))["y"].dtype is {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]


def test_stages_run_as_one_and_keep_what_is_wanted() -> None:
    """Values pass a stage by name; only the wanted ones come out."""
    device = Capturing()
    engine = TorchEngine(1, place=device)
    first, second = layer(out="y"), layer(fold="y", out="z")
    second.graph.input[0].name, second.graph.output[0].name = "y", "z"
    stages = [engine.load(model.SerializeToString()) for model in (first, second)]
    one = stages[0].followed_by(stages[1:], {"z"})
    assert [[spec.name for spec in specs] for specs in (one.inputs, one.outputs)] == [["x"], ["z"]]
    want = stages[1].run(stages[0].run(given(3)))["z"]
    np.testing.assert_allclose(one.run(given(3))["z"], want, rtol=1e-6)
    with pytest.raises(InputError, match="different engines"):
        stages[0].followed_by([ONNX.load(second.SerializeToString())], {"z"})


def test_compiled_stages_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile gets the module, and its batch."""
    seen: list[Any] = []

    def compile_(module: Any, **options: Any) -> Any:
        seen.append(options)
        return module

    monkeypatch.setattr(torch, "compile", compile_)
    stage = TorchEngine(1, compiled=True).load(layer().SerializeToString())
    plain = TORCH.load(layer().SerializeToString())
    assert np.array_equal(stage.run(given(2))["y"], plain.run(given(2))["y"])
    assert seen == [{"dynamic": False}]
