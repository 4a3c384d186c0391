"""What torch sees of GPUs, and the engine on one."""

from __future__ import annotations

from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

import subprocess  # noqa: E402
import sys  # noqa: E402

from tests.support.torch_stages import TORCH, given, layer  # noqa: E402

from partway.engines.torch.cuda import gpu_name, gpus  # noqa: E402
from partway.engines.torch.engine import TorchEngine  # noqa: E402

helper, Kind = onnx.helper, onnx.TensorProto


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_gpu_gives_the_processors_answers(precision: str) -> None:
    """From several threads at once, for batches of any size."""
    stage = TorchEngine(1, "cuda:0", precision).load(layer().SerializeToString())
    plain = TORCH.load(layer().SerializeToString())
    wrong: list[int] = []

    def ask(batch: int) -> None:
        made, want = (one.run(given(batch, seed=batch))["y"] for one in (stage, plain))
        if not np.allclose(
            made, want, rtol=1e-4 if precision == "fp32" else 0.1, atol=0.1 if precision != "fp32" else 1e-5
        ):
            wrong.append(batch)

    for batches in ((1, 2, 3), (64, 65, 7), (3, 3, 3)):
        threads = [Thread(target=ask, args=(batch,)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_gpus_are_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name has the memory and torch's version; a driver that torch cannot use counts as none."""
    about = SimpleNamespace(name="Tester 9000", total_memory=24 << 30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    assert gpus() == 2
    assert gpu_name(1) == f"Tester 9000, 24 GiB, torch {torch.__version__}"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpus() == 0


def test_products_are_exact_unless_rounding_is_asked_for() -> None:
    """TF32 rounds only where --tf32 says so. The setting is the process's, so another process tries it."""
    code = (
        "import torch; from partway.engines.torch.cuda import exact_arithmetic\n"
        "matmul = torch.backends.cuda.matmul\n"
        "name = 'fp32_precision' if hasattr(matmul, 'fp32_precision') else 'allow_tf32'\n"
        "for tf32 in (True, False):\n"
        "    exact_arithmetic(tf32); print(getattr(matmul, name))\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed in (["tf32", "ieee"], ["True", "False"])
