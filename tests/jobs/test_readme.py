"""Every command in the README and the docs is run as it stands, in a folder with a model and pictures of one's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
FILE = re.compile(r"^`(\w+\.py)`.*?\n```python\n(.*?)```", re.DOTALL | re.MULTILINE)
LINK, FREE = "127.0.0.1:9001", "127.0.0.1:0"
ELSEWHERE = ("make ", "python3 -m venv", ".venv/bin/", "pip install")
MOST_BYTES = 60_000
TASK_PAGES = ROOT / "docs" / "tasks"
FOLLOWED = "raspberry-pi.md"
"""Typed into a fresh Debian by scripts/follow-pi-docs: it installs packages and a service."""
"""What test_package.py runs in a fresh clone; a test does not install into the environment of the tests."""


def commands(document: Path) -> list[str]:
    return [line for block in BLOCK.findall(document.read_text()) for line in block.splitlines() if line.strip()]


def documents() -> list[Path]:
    pages = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != FOLLOWED]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *pages, *sorted(TASK_PAGES.glob("*.md"))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model.onnx, a picture and a folder of eight pictures; an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    onnx = pytest.importorskip("onnx")
    shutil.copyfile(model_file(onnx, tmp_path), tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "pictures" / f"{index}.png")
    shutil.copyfile(next((ROOT / "partitioner/zoo/mnist/samples").glob("3-*.png")), tmp_path / "picture.png")
    return tmp_path


def model_file(onnx: object, folder: Path) -> Path:
    """A small picture classifier."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(1)
    weights = {"w1": (8, 3, 3, 3), "w2": (4, 8, 3, 3), "w3": (4 * 8 * 8, 5)}
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["conv1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "w2"], ["conv2"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("Flatten", ["relu2"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])
    tensors = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in weights.items()]
    graph = helper.make_graph(nodes, "small", [image], [logits], tensors)
    path = folder / "made.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


class Background:
    """Servers that a command started; ended after the document."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []
        self.address = self.link = ""

    def serve(self, command: str, cwd: Path) -> None:
        self.end()
        command = command.replace("--http-port 8000", "--http-port 0")
        self.address = self.started_on(f"{command} --grpc-port 0", r":(\d+) [(]gRPC[)]", cwd)

    def emulate(self, command: str, cwd: Path) -> None:
        self.link = self.started_on(self.placed(command).replace(LINK, FREE), r":(\d+) ->", cwd)

    def started_on(self, command: str, said: str, cwd: Path) -> str:
        line = command.split()
        process = subprocess.Popen([BIN / line[0], *line[1:]], cwd=cwd, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        ready = next((found for line in lines if (found := re.search(said, line))), None)
        assert ready, f"{command} did not get ready"
        return f"127.0.0.1:{ready[1]}"

    def placed(self, command: str) -> str:
        """The command with the addresses of what was started."""
        return command.replace("192.0.2.7:8001", self.address or "192.0.2.7:8001").replace(LINK, self.link or LINK)

    def end(self) -> None:
        self.link = ""
        for process in reversed(self.started):
            process.terminate()
            process.wait(15)
            if process.stdout is not None:
                process.stdout.close()
        self.started.clear()


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.end()


SLOW = ("torch.md", "links.md")
"""Pages whose commands take long. So do those of the tasks, which install models with pip."""


def slow(document: Path) -> bool:
    return document.name in SLOW or document.parent == TASK_PAGES


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, marks=[pytest.mark.slow] * slow(path)) for path in documents()],
    ids=lambda path: path.name,
)
def test_every_command_works_as_written(document: Path, folder: Path, background: Background) -> None:
    """Each command of the document exits with 0; addresses of documentation become that of the server just started."""
    for name, text in FILE.findall(document.read_text()):
        (folder / name).write_text(text)
    ran = 0
    for command in commands(document):
        if command.startswith(ELSEWHERE):
            continue
        ran += 1
        if command.startswith("cloud-serve"):
            background.serve(command, folder)
            continue
        if command.startswith("partway link emulate"):
            background.emulate(command, folder)
            continue
        command = background.placed(command)
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        done = subprocess.run(
            command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert ran or (document.name != "README.md" and document.parent != TASK_PAGES)


def test_each_task_has_a_page_with_a_picture() -> None:
    """A task without a page, or a page without its picture, fails; a task that only passes outputs on needs none."""
    tasks = {entry.name for entry in entry_points(group="partway.tasks") if entry.value.startswith("partway.")}
    pages = {path.stem: path.read_text() for path in TASK_PAGES.glob("*.md")}
    assert set(pages) == tasks - {"tensors"}
    for name, text in pages.items():
        pictures = re.findall(r"!\[.+?\]\((.+?)\)", text)
        assert pictures, name
        assert all((TASK_PAGES / picture).stat().st_size <= MOST_BYTES for picture in pictures), name


def test_the_documents_say_nothing_of_this_machine() -> None:
    """No document or module names a path of the machine it was written on."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    here = "/" + "work/"
    for name in listed:
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and path.suffix in {".py", ".md", ".toml", ".json", ".sh", ""}:
            assert here not in path.read_text(errors="replace"), name


def test_timings_are_taken_with_a_monotonic_clock() -> None:
    """No room takes durations from the wall clock."""
    assert time.get_clock_info("perf_counter").monotonic
    for room in ("edge", "cloud", "partitioner", "proto", "engines"):
        for path in (ROOT / room).rglob("*.py"):
            assert not re.search(r"\btime\.time\(\)|datetime\.now\(", path.read_text()), path
