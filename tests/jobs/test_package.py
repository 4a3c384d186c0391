"""What a stranger gets: a fresh clone, the README's install without make, the base set only."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def sdist(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive built from the fresh clone."""
    out = tmp_path_factory.mktemp("sdist")
    built = run(sys.executable, "-m", "build", "--sdist", "--outdir", out, ".", cwd=clone)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.tar.gz"))


def package_files(clone: Path) -> set[str]:
    """Every file of the package in the clone, by its name in a wheel; the rooms are reached through their links."""
    source = clone / "src"
    found = (Path(folder, file) for folder, _, files in os.walk(source, followlinks=True) for file in files)
    return {str(path.relative_to(source)) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_of_every_room_once(wheel: Path, clone: Path) -> None:
    """Modules, message descriptors, the shipped models and their samples, py.typed; nothing beside the package."""
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == package_files(clone)
    for room in ROOMS:
        assert f"partway/{room}/__init__.py" in inside
    expected = ("partway/proto/descriptors.binpb", "partway/py.typed", "partway/partitioner/zoo/mnist/plan.json")
    assert set(expected) <= inside
    assert len([name for name in inside if "/samples/" in name]) >= 20


def test_the_wheel_announces_its_commands_and_extensions(wheel: Path) -> None:
    """The entry points are those of pyproject.toml, and each names a module of the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        announced = configparser.ConfigParser(delimiters=("=",))
        announced.optionxform = str  # type: ignore[assignment,method-assign]
        announced.read_string(archive.read(name).decode())
        files = set(archive.namelist())
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    assert {group: dict(announced[group]) for group in announced.sections()} == groups
    for value in (value for group in groups.values() for value in group.values()):
        module = value.partition(":")[0].replace(".", "/")
        assert {f"{module}.py", f"{module}/__init__.py"} & files, value


def test_the_sdist_holds_the_code_once(sdist: Path, clone: Path) -> None:
    """Each room lies in ``src`` only, as files and not as links; tests, docs and scripts are there too."""
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    names = [member.name.partition("/")[2] for member in members]
    assert len(names) == len(set(names))
    assert all(member.isfile() for member in members)
    assert {name.removeprefix("src/") for name in names if name.startswith("src/")} == package_files(clone)
    assert not [name for name in names if name.startswith(tuple(f"{room}/" for room in ROOMS))]
    assert {"pyproject.toml", "README.md", "scripts/hatch_build.py", "tests/conftest.py"} <= set(names)


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_checkout(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    """File by file, with the same content."""
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ".", sdist, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (other,) = tmp_path.glob("*.whl")
    contents = []
    for path in (wheel, other):
        with zipfile.ZipFile(path) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0].keys() == contents[1].keys()
    assert [name for name, data in contents[0].items() if contents[1][name] != data] == []


def test_a_checkout_without_symbolic_links_is_not_built(clone: Path, tmp_path: Path) -> None:
    """Where git wrote the links as text files, the build ends with a sentence and makes no wheel."""
    plain = tmp_path / "plain"
    shutil.copytree(clone, plain, symlinks=True, ignore=shutil.ignore_patterns("tests", ".venv"))
    for room in ROOMS:
        link = plain / "src" / "partway" / room
        link.unlink()
        link.write_text(f"../../{room}")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ".", cwd=plain)
    assert built.returncode != 0
    sentence = "partway cannot be built: src/partway/edge is not a link to the folder edge"
    assert sentence in built.stdout + built.stderr
    assert "Traceback" not in built.stdout + built.stderr
    assert not list(tmp_path.glob("*.whl"))


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
