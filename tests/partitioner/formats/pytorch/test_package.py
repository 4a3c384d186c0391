"""PyTorch is optional: without it a sentence names the extra."""

from __future__ import annotations

import sys

import pytest
from tests.support.torch_project import MODULE

from partway.cli.main import main
from partway.errors import MissingPackage
from partway.partitioner.resolve import export

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_without_torch_the_extra_is_named(here, tmp_path, monkeypatch, capsys):
    """One sentence with the command that installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["plan", f"{MODULE}:Net", "--example-input", "1x3x8x8", "--out", str(tmp_path / "p")]) == 2
    assert "pip install 'partway[torch]'" in capsys.readouterr().err
    with pytest.raises(MissingPackage, match=r"partway\[torch\]"):
        export("x.pt2", tmp_path / "x.onnx")
