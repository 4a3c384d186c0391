"""Which engine and device a cloud computes with, and what it says about it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.cloud.main import main
from partway.cloud.models.placement import Computing
from partway.cloud.models.repository import load_model
from partway.engines import device
from partway.engines.device import Chosen, choose_device
from partway.engines.interface import Unsupported
from partway.errors import InputError, MissingPackage
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

IMAGE = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)


def has_gpu() -> bool:
    """Whether this machine's driver finds one."""
    return device.no_driver() is None


no_gpu = pytest.mark.skipif(has_gpu(), reason="there is a GPU here")


@no_gpu
@pytest.mark.parametrize("engine", ["auto", "onnx", "torch", "litert"])
def test_without_a_gpu_auto_is_the_cpu_and_says_why(engine: str) -> None:
    """One line, whatever the engine."""
    chosen = choose_device("auto", engine)
    assert (chosen.device, chosen.engine) == ("cpu", "auto")
    assert str(chosen).startswith("cpu: ") and "\n" not in str(chosen)


@no_gpu
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "cuda"], "--device cuda cannot be had: torch finds no CUDA device; choose --device cpu"),
        (["--device", "cuda:3", "--engine", "torch"], "torch finds no CUDA device"),
        (["--device", "cuda", "--engine", "onnx"], "no CUDA provider (onnxruntime-gpu has)"),
        (["--device", "cuda", "--engine", "litert"], "litert does not run on CUDA; choose --engine torch or onnx"),
        (["--device", "gpu"], "unknown device 'gpu'; choose auto, cpu, cuda or cuda:i"),
        (["--precision", "fp16"], "--precision fp16 is for the engine torch; add --engine torch"),
        (["--tf32"], "--tf32 is for the engine torch"),
        (["--compile", "--engine", "onnx"], "--compile is for the engine torch"),
        (["--tensorrt"], "--tensorrt is for ONNX Runtime on a GPU"),
    ],
)
def test_what_cannot_be_had_is_refused(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one sentence."""
    pytest.importorskip("torch")
    assert main([*options, "--grpc-port", "0", "--no-advertise"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("cloud-serve: ") and words in line


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA by name, the engine by name: both say what to install."""
    monkeypatch.setattr("partway.engines.torch.entry.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"torch is not installed.*pip install 'partway\[torch\]'"):
        choose_device("cuda", "torch")
    monkeypatch.setitem(__import__("sys").modules, "partway.engines.torch.engine", None)
    with pytest.raises(MissingPackage, match=r"the engine torch needs torch.*pip install 'partway\[torch\]'"):
        load_model(model_folder("mnist"), 1, "torch")


def test_a_gpu_is_taken_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a driver and a device, auto is the engine torch on it; an index that is not there is refused."""
    pytest.importorskip("torch")
    monkeypatch.setattr(device, "no_driver", lambda: None)
    monkeypatch.setattr("partway.engines.torch.cuda.gpus", lambda: 2)
    monkeypatch.setattr("partway.engines.torch.cuda.gpu_name", lambda index: f"GPU number {index}")
    assert choose_device("auto") == Chosen("cuda:0", "torch", "GPU number 0")
    assert str(choose_device("cuda:1")) == "cuda:1: GPU number 1"
    with pytest.raises(InputError, match=r"2 CUDA devices, the last is cuda:1"):
        choose_device("cuda:2", "torch")


def test_the_engine_torch_serves_the_onnx_stages() -> None:
    """At every split the answers of ONNX Runtime."""
    pytest.importorskip("torch")
    ours, theirs = (load_model(model_folder("mnist"), 1, name) for name in ("torch", "onnx"))
    assert (ours.digest, ours.profile["engine"]) == (theirs.digest, "torch")
    for k in ours.plan.splits:
        values = theirs.chain.run({"image": IMAGE}, 0, k)
        made, want = (model.chain.answer(model.chain.run(values, k, 3)) for model in (ours, theirs))
        np.testing.assert_allclose(made["logits"], want["logits"], rtol=1e-4, atol=1e-4)


def test_values_may_stay_on_the_device_between_stages() -> None:
    """Frames of two cuts meet at the second stage, and the answers are those of each alone."""
    pytest.importorskip("torch")
    chain = load_model(model_folder("mnist"), 1, "torch").chain
    early, late = ({"image": IMAGE[at : at + 1]} for at in (0, 1))
    first, second = chain.advance(early, 0, 1), chain.run(late, 0, 1)
    assert not isinstance(first["relu3"], np.ndarray)
    together = {"relu3": chain.join([first["relu3"], second["relu3"]])}
    made = chain.fetch(chain.advance(chain.advance(together, 1, 2), 2, 3))
    want = chain.run({"image": IMAGE}, 0, 3)["logits"]
    assert set(made) == {"logits"}
    np.testing.assert_allclose(made["logits"], want, rtol=1e-5, atol=1e-5)


def test_a_model_that_torch_does_not_know_runs_on_onnx_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With auto; asked for by name, it is refused with the operator's name."""
    pytest.importorskip("torch")
    from partway.engines.torch import builder as torch_build
    from partway.engines.torch import operator_table as torch_table

    assert torch_build  # whose import fills the table
    monkeypatch.delitem(torch_table.TABLE, ("", "Gemm"))
    folder = model_folder("mnist")
    plan = load_plan(folder)
    asked = Computing("torch", Chosen("cpu", "torch", "as asked"))
    with pytest.raises(Unsupported, match=r"the engine torch cannot run Gemm \(.*\); use --engine onnx"):
        asked.load(plan, folder, 1)
    with caplog.at_level(logging.WARNING, "partway.cloud"):
        engine, chain = Computing("auto", Chosen("cpu", "torch", "a test")).load(plan, folder, 1)
    assert engine.name == "onnx"
    assert chain.run({"image": IMAGE}, 0, 3)["logits"].shape == (2, 10)
    assert "mnist runs on the engine onnx, on cpu: the engine torch cannot run Gemm" in caplog.text


def test_a_model_of_another_format_keeps_its_engine(caplog: pytest.LogCaptureFixture) -> None:
    """A TFLite model is not for the GPU's engine."""
    pytest.importorskip("ai_edge_litert")
    folder: Path = model_folder("mnist-int8")
    asked: Any = Computing("auto", Chosen("cuda:0", "torch", "a test"))
    with caplog.at_level(logging.INFO, "partway.cloud"):
        engine, _ = asked.load(load_plan(folder), folder, 1)
    assert engine.name == "litert"
    assert "mnist-int8 has no ONNX stages: it computes on the CPU" in caplog.text
