"""What a stranger gets: a fresh clone, the README's install without make, the base set only."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("edge", "cloud", "partitioner", "proto", "engines")


def run(*command: str | Path, cwd: Path, timeout_s: float = 400.0) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked and new files of this checkout in an empty folder, as a clone would have them."""
    folder = tmp_path_factory.mktemp("fresh") / "partway"
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_file():
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The wheel built from the fresh clone."""
    out = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ".", cwd=clone)
    assert built.returncode == 0, built.stderr
    yield next(out.glob("*.whl"))


def test_the_wheel_holds_every_room_and_the_model(wheel: Path) -> None:
    """The built wheel contains each room's modules, the message descriptors, the sliced model and its samples."""
    names = zipfile.ZipFile(wheel).namelist()
    for room in ROOMS:
        tracked = {f"partway/{room}/{path.name}" for path in (ROOT / room).glob("*.py")}
        assert tracked <= set(names), tracked - set(names)
    assert "partway/proto/descriptors.binpb" in names
    assert "partway/py.typed" in names
    assert {
        f"partway/partitioner/zoo/mnist/{file}"
        for file in ("plan.json", "stage0.onnx", "stage0.tflite", "training.json")
    } <= set(names)
    assert len([name for name in names if "/samples/" in name]) >= 20
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "proto/"))]


def test_the_base_install_runs_the_main_job_without_torch_or_onnx(wheel: Path, tmp_path: Path) -> None:
    """With nothing but the base dependencies edge-run reads the samples through a split; torch and onnx are absent."""
    python = tmp_path / "venv" / "bin" / "python"
    assert run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path).returncode == 0
    installed = run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    for absent in ("torch", "onnx", "scipy", "networkx", "starlette", "tensorflow"):
        assert run(python, "-c", f"import {absent}", cwd=tmp_path).returncode != 0, absent
    done = run(tmp_path / "venv" / "bin" / "edge-run", "--model", "mnist", "--split", "1", cwd=tmp_path, timeout_s=60)
    assert done.returncode == 0, done.stderr
    assert "frames answered" in done.stdout and "by the cloud" in done.stdout
    verified = run(tmp_path / "venv" / "bin" / "partway", "verify", "mnist", cwd=tmp_path, timeout_s=60)
    assert verified.returncode == 0, verified.stderr
    plan = run(tmp_path / "venv" / "bin" / "partway", "cuts", ROOT / "README.md", cwd=tmp_path, timeout_s=60)
    assert plan.returncode == 2 and "Traceback" not in plan.stderr


def test_make_run_works_on_a_fresh_clone(clone: Path) -> None:
    """`make run` makes its environment, starts a cloud, decides, and prints a summary."""
    done = run("make", "run", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert "candidates" in done.stdout and "frames answered" in done.stdout
    again = run("make", "run", cwd=clone, timeout_s=60)
    assert again.returncode == 0 and "installing" not in again.stdout


def test_make_says_what_is_missing(clone: Path) -> None:
    """Without a usable Python one sentence says what to install."""
    missing = run("scripts/need-python", "python-that-is-not-there", cwd=clone)
    assert missing.returncode == 2
    assert "apt install python3" in missing.stderr
    assert run("make", "-n", "test", cwd=clone).returncode == 0
