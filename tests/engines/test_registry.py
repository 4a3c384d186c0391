"""Engines are found by name, those of other installed packages among them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.support.extension import installed

from partway.engines.interface import NO_ENGINE
from partway.engines.registry import computes_on, cuda_engines, engine_for, fallback_of, files_of, layout_of
from partway.errors import InputError


def test_an_unknown_engine_is_named() -> None:
    """The sentence lists those there are."""
    with pytest.raises(InputError, match="unknown engine 'tensorrt'; known: fake, litert, onnx, onnx-int8, torch"):
        engine_for("tensorrt")
    with pytest.raises(InputError, match=r"unknown engine 'onx'; did you mean 'onnx'\?"):
        engine_for("onx")


def test_what_is_known_of_an_engine_needs_no_package() -> None:
    """Files, layout and devices come from its entry, in a process that never imports the engine."""
    assert [files_of(name) for name in ("onnx", "onnx-int8", "litert", "torch", "fake")] == [
        *("onnx", "onnx-int8", "litert", "onnx", "fake")
    ]
    assert [layout_of(name) for name in ("onnx", "torch", "litert", "absent")] == ["NCHW", "NCHW", "NHWC", "NCHW"]
    assert cuda_engines() == ["onnx", "torch"]
    assert computes_on("litert", "cpu") and not computes_on("litert", "cuda") and not computes_on("absent", "cpu")
    assert files_of("absent") == "absent"
    assert [fallback_of(name) for name in ("onnx-int8", "onnx", "litert", "absent")] == ["onnx", "", "", ""]
    script = (
        "import sys; from partway.engines.registry import cuda_engines, engine_entry, engine_names;"
        "cuda_engines(); [engine_entry(name) for name in engine_names()];"
        "print(sorted({'onnxruntime', 'torch', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plan_of_measured_times_has_no_engine() -> None:
    """The sentence says what the plan is for."""
    with pytest.raises(InputError, match="nothing to run; `partway explain` takes it"):
        engine_for(NO_ENGINE)


EXTENSION = """
from partway.engines.fake import FakeEngine
from partway.engines.interface import EngineEntry

def make(threads, device, pace=1):
    return FakeEngine("pretend", str(pace), threads or 3)

PRETEND = EngineEntry("fake", make, layout="NHWC", devices=("cpu", "cuda"), options={"pace": 1})
"""


def test_an_engine_of_another_package_is_made_by_name(tmp_path: Path) -> None:
    """An entry point is enough; what is no entry is refused in a sentence, and Partway's names stay its own."""
    entries = {"pretend": "pretending:PRETEND", "number": "pretending:__name__", "onnx": "pretending:PRETEND"}
    environment = installed(tmp_path, "pretending", EXTENSION, {"partway.engines": entries})
    script = """
from partway.engines.registry import computes_on, engine_for, files_of, layout_of
from partway.errors import InputError
engine = engine_for("pretend", 0, "cpu", pace=7)
assert (engine.name, engine.version, engine.threads) == ("pretend", "7", 3)
assert (files_of("pretend"), layout_of("pretend"), computes_on("pretend", "cuda")) == ("fake", "NHWC", True)
assert engine_for("onnx", 1).name == "onnx"
try:
    engine_for("number")
except InputError as error:
    assert "no EngineEntry" in str(error)
else:
    raise SystemExit("an entry that is none was taken")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_the_architecture_contract_names_every_engine_but_torch() -> None:
    """A new module of this room is kept from model tooling as soon as it exists."""
    root = Path(__file__).parents[2]
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert not any("ignore_imports" in one for one in contracts)
    (contract,) = (one for one in contracts if "torch" in one.get("forbidden_modules", ()))
    entries = list((root / "engines").iterdir())
    children = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}
    named = {name.removeprefix("partway.engines.") for name in contract["source_modules"]}
    assert children - named == {"__init__", "torch"}
    assert "torch.entry" in named
