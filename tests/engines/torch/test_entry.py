"""What is known of the torch engine without torch."""

import sys

import pytest

from partway.engines.registry import engine_for
from partway.engines.torch.entry import TORCH
from partway.errors import MissingPackage


def test_torch_runs_the_stages_of_onnx() -> None:
    """On the CPU or on CUDA."""
    assert (TORCH.files, TORCH.layout, TORCH.devices) == ("onnx", "NCHW", ("cpu", "cuda"))
    assert set(TORCH.options) == {"precision", "tf32", "compiled", "graphs"}


def test_without_torch_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "partway.engines.torch.engine", None)
    with pytest.raises(MissingPackage, match=r"the engine torch needs torch .*pip install 'partway\[torch\]'"):
        engine_for("torch")


def test_without_torch_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is that torch is not installed; nothing is imported to find out."""
    monkeypatch.setattr("partway.engines.torch.entry.find_spec", lambda name: None)
    assert TORCH.find_gpu is not None
    assert TORCH.find_gpu(0) == (None, "torch is not installed")
