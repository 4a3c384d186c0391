"""A slim device as Raspberry Pi OS has it: tflite-runtime 2.14 under NumPy 1, no ONNX Runtime, no ai-edge-litert.

It lives in a virtual environment of its own, made once in build/, and talks to a cloud on ai-edge-litert outside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partway.proto.tensors import TensorSpec

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
RUNTIME = ("tflite-runtime==2.14.0", "numpy<2")
DEVICE = ("grpcio", "protobuf", "msgpack", "zeroconf", "zstandard", "pillow", "rich", "pytest")
ABSENT = ("onnxruntime", "ai_edge_litert", "torch", "onnx", "flatbuffers")


def pip(python: Path, *arguments: str) -> None:
    """Install; the test is skipped when this Python has no wheel of tflite-runtime, and fails for any other reason."""
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    command += arguments
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "No matching distribution found for tflite-runtime" in done.stderr:
        pytest.skip(f"tflite-runtime 2.14.0 has no wheel for Python {sys.version.split()[0]} on this machine")
    assert done.returncode == 0, done.stderr


def once(folder: Path, content: str, make: Callable[[Path], None]) -> Path:
    """A folder made by ``make`` unless it is there, whole and of this content, from an earlier run."""
    mark = folder / "made-of.txt"
    if not mark.is_file() or mark.read_text() != content:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        make(folder)
        mark.write_text(content)
    return folder


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of the slim device's environment."""
    pins = (ROOT / "constraints.txt").read_text()
    entries = (ROOT / "pyproject.toml").read_text().partition("entry-points")[2]
    kept = "\n".join(line for line in pins.splitlines() if not line.startswith(("numpy", "flatbuffers")))

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
        (folder / "constraints.txt").write_text(kept)
        pip(folder / "bin" / "python", "-c", str(folder / "constraints.txt"), *RUNTIME, *DEVICE)
        pip(folder / "bin" / "python", "--no-deps", "-e", str(ROOT))  # its entry points name engines and codecs

    return (
        once(BUILD / "tflite-runtime", f"{sys.version}\n{RUNTIME}\n{DEVICE}\n{kept}\n{ROOT}\n{entries}", make)
        / "bin"
        / "python"
    )


def on_device(python: Path, *command: str | Path, path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the device's Python over this checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST", "PYTHON"))}
    paths = os.pathsep.join(filter(None, (path, str(ROOT / "src"))))
    return subprocess.run(
        [str(part) for part in (python, *command)],
        env={**kept, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def frames_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_device_has_nothing_but_tflite_runtime(python: Path) -> None:
    """What the other tests here prove would be worth little if another engine were at hand."""
    code = f"import importlib.util as u; print([name for name in {ABSENT} if u.find_spec(name)])"
    assert on_device(python, "-c", code).stdout.strip() == "[]"


def test_the_engine_passes_the_contract_on_tflite_runtime(python: Path, tmp_path: Path) -> None:
    """The very tests that every engine passes, run in that environment."""
    pytest.importorskip("ai_edge_litert")
    from tests.support import tflite_models

    names = (("x", "y", "float32", 3), ("n", "m", "int64", 2))
    pairs = [(TensorSpec(a, d, (None, size)), TensorSpec(b, d, (None, size))) for a, b, d, size in names]
    (tmp_path / "identity.tflite").write_bytes(tflite_models.identity(pairs))
    done = on_device(
        python,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "litert", "tests/engines/test_interface.py"),
        PARTWAY_TEST_TFLITE=str(tmp_path / "identity.tflite"),
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout and " passed" in done.stdout


@pytest.mark.parametrize("model", ["mnist", "mnist-int8"])
@pytest.mark.parametrize("split", ["1", "2"])
def test_a_slim_device_shares_the_work_with_a_cloud(
    python: Path, start_cloud: Callable[..., Any], model: str, split: str
) -> None:
    """Prefix on tflite-runtime, suffix on ai-edge-litert over the real wire: every sample digit is read right."""
    pytest.importorskip("ai_edge_litert")
    cloud = start_cloud("--engine", "litert", "--threads", "1")
    options = ("--model", model, "--split", split, "--cloud", cloud.address, "--threads", "1", "--json", "-")
    said = frames_of(on_device(python, "-m", "partway.edge", *options))
    assert said["plan"]["engine"] == "litert"
    assert {frame["answered_by"] for frame in said["frames"]} == {"cloud"}
    assert len(said["frames"]) == 30
    assert all(frame["top"][0]["label"] == frame["name"][0] for frame in said["frames"])


def test_a_slim_device_needs_no_option_and_may_meet_a_cloud_on_another_engine(
    python: Path, start_cloud: Callable[..., Any]
) -> None:
    """The plan's own engine is missing here: its twin runs, and the cloud's ONNX Runtime goes on from there."""
    cloud = start_cloud("--threads", "1")
    options = ("--model", "mnist", "--split", "1", "--cloud", cloud.address, "--threads", "1", "--json", "-")
    said = frames_of(on_device(python, "-m", "partway.edge", *options))
    assert said["plan"]["engine"] == "litert"
    assert all(frame["answered_by"] == "cloud" for frame in said["frames"])
    assert all(frame["top"][0]["label"] == frame["name"][0] for frame in said["frames"])


def test_a_device_without_the_model_fetches_the_stages_of_its_engine(
    python: Path, start_cloud: Callable[..., Any], tmp_path: Path
) -> None:
    """Only LiteRT's files cross when only LiteRT is there; they are kept by digest."""
    from dataclasses import replace

    from partway.partitioner.plan.plan_file import load_plan, save_plan
    from partway.partitioner.zoo import model_folder

    shutil.copytree(model_folder("mnist"), tmp_path / "models" / "digits")
    plan = replace(load_plan(model_folder("mnist")), model="digits")
    save_plan(plan, tmp_path / "models" / "digits")
    cloud = start_cloud("--models", str(tmp_path / "models"), "--threads", "1")
    options = ("--model", "digits", "--split", "2", "--cloud", cloud.address, "--threads", "1", "--json", "-")
    cache = ("--cache", tmp_path / "cache", "--input", model_folder("mnist") / "samples")
    said = frames_of(on_device(python, "-m", "partway.edge", *options, *cache))
    assert all(frame["top"][0]["label"] == frame["name"][0] for frame in said["frames"])
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept == {stage.twins["litert"].digest for stage in plan.stages}


def test_under_numpy_2_one_sentence_says_what_to_install(python: Path) -> None:
    """The real package under the real NumPy 2: no page of warnings, no traceback, exit code 2."""

    def make(folder: Path) -> None:
        pip(python, "--target", str(folder), "--no-deps", "numpy==2.2.6")

    numpy_2 = once(BUILD / "numpy-2", sys.version, make)
    options = ("--model", "mnist", "--engine", "litert", "--cloud", "none")
    done = on_device(python, "-m", "partway.edge", *options, path=str(numpy_2))
    assert done.returncode == 2
    assert done.stderr == (
        "edge-run: tflite-runtime 2.14.0 is built for NumPy 1 and NumPy 2.2.6 is installed (its import would fail with"
        " _ARRAY_API not found); pip install 'numpy<2', or pip install ai-edge-litert instead\n"
    )
