"""The batching benchmark at small size: the harness that GPUs are measured with."""

import pytest
from benchmarks.batching import lone, simulate, table

from partway.partitioner.zoo import model_folder


@pytest.mark.parametrize("mode", ["across", "per-cut", "none"])
def test_devices_at_mixed_cuts_are_simulated(mode: str) -> None:
    """Every mode answers like the unsplit model; frames of several cuts share batches across cuts only."""
    made = simulate(model_folder("mnist"), "onnx", 8, 0.4, mode, threads=1)
    assert (made.model, made.devices, made.mode) == ("mnist", 8, mode)
    assert made.frames_per_s > 0
    assert made.error <= 1e-5
    assert (made.batch > 1) or mode != "across"
    assert (made.merged > 0) == (mode == "across")
    assert made.batch == 1 or mode != "none"
    assert "| mnist | 8 |" in table([made])


@pytest.mark.parametrize("batched", [True, False])
def test_a_lone_device_is_simulated(batched: bool) -> None:
    """With the batcher and without it the answers are the same."""
    made = lone(model_folder("mnist"), "onnx", 0.1, batched, threads=1)
    assert made.error == 0
    assert made.batch == 1
