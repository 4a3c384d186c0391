"""Fixtures that several rooms of the partitioner share."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.scission import SMALL
from tests.support.torch_project import MODULE, ROOT

from partway.cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Measurements of one model of two blocks on three platforms."""
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(SMALL), encoding="utf-8")
    return path


@pytest.fixture
def out(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What ``partway convert scission`` makes of them."""
    assert main(["convert", "scission", str(file), "--out", str(tmp_path / "out")]) == 0
    assert "net" in capsys.readouterr().out
    return tmp_path / "out"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the modules, as a user's own; imported from there."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(ROOT / "tests" / "support" / f"{MODULE}.py", folder / f"{MODULE}.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    sys.modules.pop(MODULE, None)


@pytest.fixture(scope="module")
def nets(here: Path) -> Any:
    """The module of modules."""
    from partway.partitioner.formats.pytorch.load import load_module

    load_module(f"{MODULE}:Net")
    return sys.modules[MODULE]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Path]:
    """Write one of the small architectures to a file."""
    onnx = pytest.importorskip("onnx")
    from tests.support.architectures import ARCHITECTURES

    def saver(name: str) -> Path:
        path = tmp_path / f"{name}.onnx"
        onnx.save(ARCHITECTURES[name]().model, path)
        return path

    return saver
