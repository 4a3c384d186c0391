"""Traced programs as ONNX files."""

from __future__ import annotations

import pytest
from tests.support.torch_project import image

import partway
from partway.partitioner.plan.plan_file import load_plan

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_the_same_module_gives_the_same_file(here, tmp_path, nets):
    """Exported twice it is the same to the byte. The cuts are named: useful ones rest on measured times."""
    torch.manual_seed(0)
    module = nets.Net()
    partway.plan(module, image(1), out=tmp_path / "a", cuts="none")
    partway.plan(module, image(1), out=tmp_path / "b", cuts="none")
    assert load_plan(tmp_path / "a").digest == load_plan(tmp_path / "b").digest
