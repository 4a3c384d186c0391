"""What an image may weigh, and what an idle device may hold."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WITH_A_CLOUD_MB = {"onnx": 92, "litert": 79}
"""What gRPC and a stream to a cloud may add; no bound was set for it beforehand."""


def script(name: str) -> ModuleType:
    """The module that a script without a suffix is."""
    loader = SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    loader.exec_module(made)
    return made


sizes, idle = script("image-sizes"), script("idle-memory")


@pytest.mark.parametrize(
    "name", ["edge-onnx-amd64", "edge-litert-amd64", "edge-onnx-arm64", "edge-litert-arm64", "cloud-cpu-amd64"]
)
def test_an_image_stays_within_its_bound(name):
    """220, 160 and 350 MB of files, every part of an image counted."""
    whole, _, parts = sizes.measured(f"localhost/partway-{name.replace('-', ':', 1)}", packing=False)
    assert 100e6 < whole <= sizes.MOST_MB[name.rpartition("-")[0]] * 1e6
    assert parts.total() == whole


@pytest.mark.parametrize("tag", ["onnx", "litert"])
def test_an_idle_device_stays_within_its_bound(tag):
    """85 and 65 MB by itself; it is nobody's root meanwhile, has no capability and can get none."""
    alone = idle.status(tag, "none")
    assert alone["Uid"].split() == alone["Gid"].split() == ["10001"] * 4
    assert int(alone["CapEff"], 16) == 0 and alone["NoNewPrivs"] == "1"
    assert 30 < int(alone["VmRSS"].split()[0]) / 1024 <= idle.MOST_MB[tag]
    assert idle.megabytes(tag, "embedded") <= WITH_A_CLOUD_MB[tag]
