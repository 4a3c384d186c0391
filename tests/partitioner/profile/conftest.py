"""Seven sliced architectures, made once for all tests of profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from partway.partitioner.plan.plan_file import save_plan
from partway.partitioner.slicing import make_plan


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Seven architectures, sliced."""
    onnx = pytest.importorskip("onnx")
    from tests.support.machines import NETWORKS, network

    root = tmp_path_factory.mktemp("models")
    made = {}
    for seed, (name, shape) in enumerate(NETWORKS.items()):
        folder = root / name
        folder.mkdir()
        onnx.save(network(seed, **shape), folder / f"{name}.onnx")
        save_plan(make_plan(folder / f"{name}.onnx", folder, limit=2), folder)
        made[name] = folder
    return made
