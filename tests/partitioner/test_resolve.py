"""Any MODEL of a command as a file that can be cut."""

from __future__ import annotations

import pytest

from partway.cli.main import main

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_options_for_modules_are_for_modules(tmp_path, capsys):
    """--weights, --example-input and --random-weights with another kind of model say what they are for."""
    assert main(["cuts", "model.onnx", "--example-input", "1x3"]) == 2
    assert "are for PyTorch modules" in capsys.readouterr().err
    assert main(["cuts", "model.onnx", "--random-weights"]) == 2
    assert "models by name" in capsys.readouterr().err
    assert main(["cuts", "nowhere_to_be_found:Net", "--example-input", "1x3"]) == 2
    assert "no Python module 'nowhere_to_be_found'" in capsys.readouterr().err
