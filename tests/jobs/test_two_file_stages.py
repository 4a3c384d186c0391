"""A model whose stages keep their weights in a second file, through every command, as a user has it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import RealCloud

from partway.cli.main import main
from partway.partitioner.plan.plan_file import load_plan

onnx = pytest.importorskip("onnx")
helper = onnx.helper
EdgeRun = Callable[..., subprocess.CompletedProcess[str]]
WIDTH, LAYERS = 64, 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers, every weight in a file beside the model."""
    rng = np.random.default_rng(0)
    weights, nodes = [], []
    for at in range(LAYERS):
        matrix = (rng.standard_normal((WIDTH, WIDTH)) / 8).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(matrix, f"w{at}"))
        nodes.append(helper.make_node("MatMul", [f"l{at}", f"w{at}"], [f"m{at}"]))
        nodes.append(helper.make_node("Tanh", [f"m{at}"], [f"l{at + 1}"]))
    values = [helper.make_tensor_value_info(name, 1, ["batch", WIDTH]) for name in ("l0", f"l{LAYERS}")]
    graph = helper.make_graph(nodes, "wide", values[:1], values[1:], weights)
    path = tmp_path_factory.mktemp("wide") / "wide.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    return path


@pytest.fixture(scope="module")
def sliced(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its plan, made as if no file could be larger than 40 KB."""
    out = tmp_path_factory.mktemp("plans") / "wide"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("partway.partitioner.formats.onnx.writer.LARGEST_FILE_BYTES", 40_000)
        assert main(["plan", str(model), "--out", str(out), "--cuts", "l1"]) == 0
    stages = load_plan(out).stages
    assert stages[1].data is not None
    assert stages[0].data is None
    return out


@pytest.fixture
def plan(sliced: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(sliced, tmp_path / "models" / "wide"))


def test_every_command_takes_such_a_plan(plan: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """verify (against the original too), profile and explain."""
    assert main(["verify", str(plan), "--runs", "2", "--json", "--against", str(model)]) == 0
    assert all(split["holds"] for split in json.loads(capsys.readouterr().out)["splits"])
    assert main(["explain", str(plan), "--bandwidth", "2Mbps"]) == 0


def test_a_wrong_weight_is_seen_by_verify(plan: Path, model: Path, tmp_path: Path) -> None:
    """The original is really read: with other weights beside it the answers differ."""
    other = Path(shutil.copytree(model.parent, tmp_path / "other"))
    content = bytearray((other / "weights.bin").read_bytes())
    content[3] ^= 0x40
    (other / "weights.bin").write_bytes(content)
    assert main(["verify", str(plan), "--runs", "1", "--json", "--against", str(other / model.name)]) == 2


def test_a_device_fetches_both_files_and_answers(
    plan: Path, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun, tmp_path: Path
) -> None:
    """A model that only the cloud has: the same answers at every split, nothing fetched a second time."""
    cloud = start_cloud("--models", str(plan.parent))
    cache = tmp_path / "cache"
    np.savez(tmp_path / "in.npz", l0=np.random.default_rng(1).standard_normal((3, WIDTH)).astype(np.float32))
    options = ["--cloud", cloud.address, "--cache", str(cache), "--input", str(tmp_path / "in.npz"), "--json", "-"]
    digests = {file.digest for stage in load_plan(plan).stages for file in (stage, stage.data) if file is not None}
    stamps = []
    tops = []
    for split in ("0", "1", "device"):
        done = edge_run("--model", "wide", "--split", split, "--codec", "raw", *options)
        assert done.returncode == 0, done.stderr
        tops.append([frame["top"] for frame in json.loads(done.stdout)["frames"]])
        stamps.append({path.name: path.stat().st_mtime_ns for path in cache.iterdir()})
    assert len(tops[0]) == 3
    assert tops[0] == tops[1] == tops[2]
    assert set(stamps[0]) == digests
    assert stamps[0] == stamps[2]


def test_the_embedded_cloud_and_the_device_read_the_folder(plan: Path, edge_run: EdgeRun) -> None:
    """edge-run --model DIR, real split."""
    options = ("--split", "1", "--codec", "raw", "--cloud", "embedded", "--frames", "2", "--json", "-")
    done = edge_run("--model", str(plan), *options)
    assert done.returncode == 0, done.stderr
    assert {frame["answered_by"] for frame in json.loads(done.stdout)["frames"]} == {"cloud"}


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda file: file.unlink(),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "a byte turned": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\0"),
    "a link": lambda file: (file.rename(file.with_name("x")), file.symlink_to("x")),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["edge-run", "cloud-serve", "partway"])
def test_a_damaged_data_file_is_refused_in_a_sentence(command: str, damage: str, plan: Path) -> None:
    """By each of the three commands, before a frame is answered."""
    DAMAGES[damage](plan / "stage1.onnx.data")
    line = {
        "edge-run": ["partway.edge", "--model", str(plan), "--cloud", "none"],
        "cloud-serve": ["partway.cloud", "--models", str(plan), "--grpc-port", "0", "--no-advertise"],
        "partway": ["partway", "verify", str(plan)],
    }[command]
    done = subprocess.run([sys.executable, "-m", *line], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{command}: data file ")
    assert last.endswith("slice the model again")
    assert "Traceback" not in done.stderr


def test_other_weights_beside_a_model_file_are_another_model(model: Path, edge_run: EdgeRun, tmp_path: Path) -> None:
    """edge-run --model FILE.onnx keeps a plan by the contents of both files."""
    folder = Path(shutil.copytree(model.parent, tmp_path / "copy"))
    seen = set()
    for _ in range(2):
        options = ("--cloud", "none", "--frames", "1", "--cache", str(tmp_path / "cache"), "--json", "-")
        done = edge_run("--model", str(folder / model.name), *options)
        assert done.returncode == 0, done.stderr
        seen.add(json.loads(done.stdout)["plan"]["digest"])
        (folder / "weights.bin").write_bytes(bytes((folder / "weights.bin").stat().st_size))
    assert len(seen) == 2
