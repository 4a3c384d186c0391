"""The GPU benchmark's own code, on the processor with the digit model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from partway.errors import InputError

pytest.importorskip("torch")

from benchmarks.gpu import main


def test_it_runs_small_on_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parity at every cut, latencies of every way, all four ways to serve; a table and JSON."""
    file = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--small", "--devices", "4", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["gpu", *words])
    main()
    found = json.loads(file.read_text())
    (row,) = found["models"]
    assert [r["split"] for r in row["parity"]] == [0, 1, 2]
    assert all(r["error"] <= 1e-4 and r["same_top"] for r in row["parity"])
    assert [r["batch"] for r in row["latency"]] == [1, 2, 4]
    assert [r["mode"] for r in row["throughput"]] == ["across cuts", "per cut", "none", "eager"]
    assert all(r["frames_per_s"] > 0 and r["error"] < 1e-4 for r in row["throughput"])
    assert row["copies"] is None  # there is no bus
    table = capsys.readouterr().out
    assert "| mnist | 3 |" in table and "| across cuts |" in table


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure of a GPU comes from a processor."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(sys, "argv", ["gpu", "--small"])
    with pytest.raises(InputError, match="torch finds no CUDA device"):
        main()
