"""int8 stages for the device: real digits, measured on those that set no ranges, run by the real commands."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.engines.registry import engine_for
from partway.partitioner.calibrate.quantize import INT8
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.idx import read_idx

FRAMES = 300


def command(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def digits(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = read_idx(data / "mnist/t10k-images-idx3-ubyte.gz")[:FRAMES]
    labels = read_idx(data / "mnist/t10k-labels-idx1-ubyte.gz")[:FRAMES]
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def made(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("int8") / "mnist"
    arguments = (
        "mnist",
        "--calibrate",
        str(digits),
        "--frames",
        str(FRAMES),
        "--out",
        str(out),
        "--json",
        "--keep-slow",
    )
    done = command("partway", "quantize", *arguments)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_what_is_told_is_what_comes_out(made: tuple[Path, dict[str, Any]], digits: Path) -> None:
    """Every split's agreement and accuracy, computed again from the files alone, on the half that set no ranges."""
    out, told = made
    plan = load_plan(out)
    exact, int8 = (load_folder(out, plan, engine_for(name, 1)) for name in ("onnx", INT8))
    with np.load(digits) as file:
        x = file["images"][1::2, None].astype(np.float32) / 255
        labels = file["labels"][1::2]
    x = (x - np.float32(plan.input["mean"][0])) / np.float32(plan.input["std"][0]) if plan.input.get("mean") else x
    right = exact.run({"image": x}, 0, 3)["logits"].argmax(1)
    for k, row in enumerate(told["splits"]):
        live = int8.run({"image": x}, 0, k)
        found = exact.run(live, k, 3)["logits"].argmax(1)
        assert row["agreement"] == pytest.approx(np.mean(found == right))
        assert row["accuracy"] == pytest.approx(np.mean(found == labels))
        assert row["frames"] == FRAMES // 2
    assert told["splits"][0]["relative_error"] == 0
    assert 0 < told["splits"][3]["relative_error"] < 0.1
    assert told["splits"][3]["agreement"] > 0.97
    for stage in told["stages"]:
        assert stage["int8_bytes"] < 0.6 * stage["float_bytes"]


def test_the_cuts_stay_what_they_are(made: tuple[Path, dict[str, Any]]) -> None:
    """An int8 prefix meets a float suffix: same names, same types; weights are int8, by channel."""
    import onnx

    out, told = made
    plan, before = load_plan(out), load_plan(model_folder("mnist"))
    assert plan.tensors == before.tensors
    assert plan.digest == told["plan"] != before.digest
    assert plan.engines == (*before.engines, INT8)
    model = onnx.load(out / plan.stages[1].twins[INT8].file)
    kinds = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    weights = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4]
    scales = {t.name: t for t in model.graph.initializer}
    assert weights
    assert any(
        scales[n.input[1]].dims == [weights[0].dims[0]] for n in model.graph.node if n.input[0] == weights[0].name
    )


@pytest.mark.parametrize("split", ["1", "device"])
def test_the_device_runs_int8_and_the_cloud_floats(
    split: str, made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = made
    told_file = tmp_path / "told.json"
    arguments = ("--model", str(out), "--engine", INT8, "--split", split, "--cloud", "embedded", "--codec", "auto")
    samples = str(model_folder("mnist") / "samples")
    done = command("partway.edge", *arguments, "--input", samples, "--json", str(told_file))
    assert done.returncode == 0, done.stderr
    told = json.loads(told_file.read_text())
    assert told["plan"]["engine"] == INT8
    for frame in told["frames"]:
        assert frame["name"].startswith(f"{frame['top'][0]['label']}-")


def test_a_split_that_costs_too_much_is_not_admitted(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The budget holds for int8 stages as for codecs, the device alone included."""
    import shutil

    folder = tmp_path / "worse"
    shutil.copytree(made[0], folder)
    text = json.loads((folder / "plan.json").read_text())
    text["twin_agreement"][INT8] = [1.0, 1.0, 0.98, 0.95]
    (folder / "plan.json").write_text(json.dumps(text))
    base = ("--model", str(folder), "--cloud", "embedded", "--frames", "2", "--json", "-")
    told = json.loads(command("partway.edge", *base, "--engine", INT8).stdout)
    assert {c["cut"] for c in told["plan"]["candidates"]} == {0, 1}
    told = json.loads(command("partway.edge", *base, "--engine", INT8, "--max-drop", "3").stdout)
    assert {c["cut"] for c in told["plan"]["candidates"]} == {0, 1, 2}
    told = json.loads(command("partway.edge", *base).stdout)
    assert {c["cut"] for c in told["plan"]["candidates"]} == {0, 1, 2, 3}


def test_a_model_file_is_sliced_first(digits: Path, tmp_path: Path) -> None:
    """An .onnx file as it is, here a stage of the shipped model, whole in itself."""
    first = model_folder("mnist") / "stage0.onnx"
    out = tmp_path / "first"
    arguments = (
        str(first),
        "--calibrate",
        str(digits),
        "--frames",
        "20",
        "--out",
        str(out),
        "--cuts",
        "none",
        "--keep-slow",
    )
    done = command("partway", "quantize", *arguments)
    assert done.returncode == 0, done.stderr
    assert load_plan(out).engines == ("onnx", INT8)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mnist", "--frames", "7"), "--frames must be 8 or more"),
        (("mnist", "--calibrate", "nowhere"), "no folder and no .npz file"),
        (("mnist-int8",), "quantize takes ONNX models"),
        (("mnistt",), "did you mean mnist?"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], says: str, digits: Path, tmp_path: Path) -> None:
    base = ("--calibrate", str(digits), "--out", str(tmp_path / "out"))
    done = command("partway", "quantize", *base, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_is_not_written_over_itself(made: tuple[Path, dict[str, Any]], digits: Path) -> None:
    out, _ = made
    done = command("partway", "quantize", str(out), "--calibrate", str(digits), "--out", str(out))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "own folder; give another" in done.stderr
    load_plan(out)
