"""PyTorch is optional: without it a sentence names the extra."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest
from tests.support.torch_project import MODULE

from partway.cli.main import main
from partway.errors import MissingPackage
from partway.partitioner.formats.pytorch.package import import_torch, silenced
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


def test_what_torch_prints_and_logs_is_kept_quiet(capsys, caplog):
    """Output, warnings and records of its loggers; afterwards all is as it was."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with silenced():
        print("noise")  # noqa: T201
        print("more", file=sys.stderr)  # noqa: T201
        warnings.warn("old", stacklevel=1)
        logger.critical("loud")
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
    assert logger.level == level
    print("after")  # noqa: T201
    assert capsys.readouterr().out == "after\n"


def test_errors_come_through_and_leave_nothing_changed():
    """What went wrong is raised, and the loggers speak again."""
    level = logging.getLogger("torch").level
    with pytest.raises(ValueError, match="wrong"), silenced():
        raise ValueError("wrong")
    assert logging.getLogger("torch").level == level


def test_without_the_exporter_the_missing_package_is_named(monkeypatch):
    """torch alone cannot write ONNX."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingPackage, match=r"onnxscript is missing\): pip install 'partway\[torch\]'"):
        import_torch()
