"""Which package brings LiteRT's interpreter, and what it is kept from printing."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from partway.errors import MissingPackage

pytest.importorskip("ai_edge_litert")


from tests.support.tflite_models import fully_connected

from partway.engines.litert import package as litert_package
from partway.engines.litert.engine import LitertEngine
from partway.engines.litert.package import find_package, without_greeting


def test_the_greeting_appears_in_no_process(tmp_path: Path) -> None:
    """It is printed once a process: a fresh one shows whether it is kept back."""
    code = (
        "import sys; from partway.engines.litert.engine import LitertEngine;"
        "LitertEngine(1).load(open(sys.argv[1],'rb').read())"
    )
    (tmp_path / "x.tflite").write_bytes(fully_connected())
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.tflite"], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


class TestPackages:
    """Which package is used, and what is said where none can be."""

    def only(self, monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
        monkeypatch.setattr(litert_package, "find_spec", lambda name: object() if name in there else None)

    def test_without_either_the_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both ways are named."""
        self.only(monkeypatch)
        with pytest.raises(MissingPackage, match=r"partway\[litert\].*tflite-runtime 'numpy<2'"):
            LitertEngine()

    def test_tflite_runtime_under_numpy_2_is_refused_before_its_import(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its compiled module would print a page and fail with _ARRAY_API not found."""
        self.only(monkeypatch, "tflite_runtime")
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.14.0")
        monkeypatch.setattr(litert_package.np, "__version__", "2.4.6")
        with pytest.raises(MissingPackage, match=r"NumPy 1 and NumPy 2.4.6.*pip install 'numpy<2'"):
            LitertEngine()
        assert not [name for name in sys.modules if name.startswith("tflite_runtime")]

    def test_an_import_that_fails_half_way_leaves_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A broken package is said to be broken, and can be repaired without a new process."""
        package = tmp_path / "tflite_runtime"
        package.mkdir()
        (package / "__init__.py").write_text("__version__ = '2.99.0'\n")
        (package / "interpreter.py").write_text("raise AttributeError('_ARRAY_API not found')\n")
        monkeypatch.syspath_prepend(tmp_path)
        self.only(monkeypatch, "tflite_runtime")
        with pytest.raises(MissingPackage, match=r"cannot be imported \(_ARRAY_API not found\); pip install"):
            LitertEngine()
        assert "tflite_runtime.interpreter" not in sys.modules
        (package / "interpreter.py").write_text("class Interpreter: pass\n")
        assert LitertEngine().version == "2.99.0 (tflite-runtime)"
        for name in [name for name in sys.modules if name.startswith("tflite_runtime")]:
            del sys.modules[name]


def test_other_output_passes_while_the_greeting_is_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Only the line about XNNPACK is missing."""
    with without_greeting():
        os.write(2, b"before\nINFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nafter\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_the_installed_package_is_named_with_its_version() -> None:
    """ai-edge-litert is preferred."""
    assert find_package().version == importlib.metadata.version("ai-edge-litert")
