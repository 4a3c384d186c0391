"""``docs/extend.md``: the package that the page builds is installed by pip, and all its extensions are used."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from partway.partitioner.zoo import model_folder

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"
BLOCK = re.compile(r"```(?:python|toml)\n# (tinyparts/\S+)\n(.*?)```", re.DOTALL)
MNIST = model_folder("mnist")


def run(*command: str | Path, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """A command to its end, without the settings of this test's own process."""
    words = [str(part) for part in command]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTHONPATH", "VIRTUAL_ENV"))}
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has this Partway, its dependencies, and the page's package."""
    folder = tmp_path_factory.mktemp("extend")
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    made = run(sys.executable, "-m", "venv", folder / "venv")
    assert made.returncode == 0, made.stderr
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    shared = sysconfig.get_path("purelib")
    (site / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    python = folder / "venv" / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", "--no-deps", folder / "tinyparts", timeout_s=400)
    assert installed.returncode == 0, installed.stderr
    return python


def edge_run(python: Path, *options: str) -> tuple[dict[str, object], str]:
    """The JSON of a run on the shipped model, and its log."""
    common = ("--model", "mnist", "--json", "-", "--frames", "2")
    done = run(python, "-c", "import sys; from partway.edge.main import main; sys.exit(main())", *common, *options)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert isinstance(made, dict)
    return made, done.stderr


def frames(made: dict[str, object], key: str) -> set[object]:
    """The values of one key over all frames."""
    found = made["frames"]
    assert isinstance(found, list) and found
    return {frame[key] for frame in found}


def test_every_kind_has_its_block_and_entry() -> None:
    """The page's table, its headings and its pyproject.toml name the same seven groups."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = dict(BLOCK.findall(text))
    groups = set(re.findall(r'\[project\.entry-points\."(partway\.\w+)"\]', blocks["tinyparts/pyproject.toml"]))
    assert groups == set(re.findall(r"\| `(partway\.\w+)` \|", text))
    assert len(groups) == 7
    assert len([name for name in blocks if name.endswith(".py")]) == 8
    for body in blocks.values():
        assert len(body.splitlines()) < 45, body


def test_the_verb_is_listed_and_runs(python: Path) -> None:
    """``partway sizes`` prints the bytes of each stage; what is no plan is one sentence."""
    assert "the bytes of each stage of a plan" in run(python, "-m", "partway", "--help").stdout
    done = run(python, "-m", "partway", "sizes", "--model", MNIST)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[::2] == ["stage0.onnx", "stage1.onnx", "stage2.onnx"]
    wrong = run(python, "-m", "partway", "sizes", "nowhere")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("partway: give the folder of a plan") and wrong.stderr.count("\n") == 1


def test_the_input_source_gives_a_frame(python: Path) -> None:
    """``--input grey:0.5`` is read by the package; another number by its rule."""
    made, _ = edge_run(python, "--input", "grey:0.5", "--cloud", "none")
    assert frames(made, "name") == {"grey:0.5"}
    wrong = run(python, "-m", "partway.edge", "--model", "mnist", "--cloud", "none", "--input", "grey:dark")
    assert wrong.returncode == 2 and "is not grey:NUMBER" in wrong.stderr


def test_the_codec_crosses_the_link(python: Path) -> None:
    """Both ends have it: the cloud answers frames that were packed by it."""
    made, _ = edge_run(python, "--cloud", "embedded", "--split", "1", "--codec", "deflate")
    assert frames(made, "codec") == {"deflate"}
    assert frames(made, "answered_by") == {"cloud"}


def test_the_engine_runs_the_stages(python: Path) -> None:
    """Its log has a line for every stage of the model."""
    made, log = edge_run(python, "--cloud", "none", "--engine", "onnx-counted")
    assert frames(made, "answered_by") == {"device"}
    assert log.count("bytes is loaded") == 3


def test_the_objective_decides(python: Path) -> None:
    """Seconds of cloud are saved by using none, and the reason says so in its own unit."""
    made, _ = edge_run(python, "--cloud", "embedded", "--objective", "cloud-time")
    assert frames(made, "answered_by") == {"device"}
    plan = made["plan"]
    assert isinstance(plan, dict) and plan["objective"] == "cloud-time"
    assert "ms of cloud" in plan["reason"]


def test_the_model_format_is_read(python: Path, tmp_path: Path) -> None:
    """``partway cuts`` lists the cuts of a compressed model; a damaged one is one sentence."""
    pytest.importorskip("onnx")
    model = tmp_path / "net.onnxgz"
    model.write_bytes(gzip.compress((MNIST / "stage0.onnx").read_bytes()))
    done = run(python, "-m", "partway", "cuts", model, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cuts"]
    model.write_bytes(b"no gzip")
    wrong = run(python, "-m", "partway", "cuts", model)
    assert wrong.returncode == 2 and "is no compressed ONNX" in wrong.stderr


def test_the_task_reads_the_answer(python: Path, tmp_path: Path) -> None:
    """A plan names it; frames have its line and its JSON."""
    pytest.importorskip("onnx")
    entry = "import sys; from partway.cli.main import main; sys.exit(main())"
    model = MNIST / "stage2.onnx"
    sliced = run(python, "-c", entry, "slice", model, "--cuts", "none", "--task", "margin", "--out", tmp_path / "plan")
    assert sliced.returncode == 0, sliced.stderr
    done = run(python, "-m", "partway.edge", "--model", tmp_path / "plan", "--cloud", "none", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert all(frame["margin"] >= 0 for frame in json.loads(done.stdout)["frames"])
    shown = run(python, "-m", "partway.edge", "--model", tmp_path / "plan", "--cloud", "none")
    assert "ahead by" in shown.stdout
