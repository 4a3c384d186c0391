"""edge-run --model FILE: sliced once, kept, and refused in a sentence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from partway.edge.session.start.slice_on_the_fly import sliced_folder
from partway.errors import InputError
from partway.partitioner.plan.model_file.model_format import is_model_file
from partway.partitioner.plan.model_file.wishes import wishes_of
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.preprocess import Preprocess

onnx = pytest.importorskip("onnx")
WIDTH = 600
EdgeRun = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A perceptron with a bottleneck in the middle, no picture in sight."""
    rng = np.random.default_rng(0)
    widths = [WIDTH, WIDTH, WIDTH, 4, WIDTH, WIDTH, 3]
    tensors, nodes, value = [], [], "x"
    for index, shape in enumerate(pairwise(widths)):
        weights = (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        tensors.append(onnx.numpy_helper.from_array(weights, f"w{index}"))
        product, following = f"product{index}", "y" if index == len(widths) - 2 else f"value{index}"
        nodes.append(onnx.helper.make_node("MatMul", [value, f"w{index}"], [product]))
        nodes.append(onnx.helper.make_node("Tanh", [product], [following]))
        value = following
    x, y = (onnx.helper.make_tensor_value_info(n, 1, ["batch", s]) for n, s in (("x", WIDTH), ("y", 3)))
    graph = onnx.helper.make_graph(nodes, "perceptron", [x], [y], tensors)
    path = tmp_path / "perceptron.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A classifier of pictures, 8 x 8, three classes."""
    weight = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Conv", ["image", "w"], ["c"]),
        onnx.helper.make_node("Relu", ["c"], ["r"]),
        onnx.helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        onnx.helper.make_node("Flatten", ["g"], ["y"]),
    ]
    x, y = (onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("image", [1, 3, 8, 8]), ("y", [1, 3])))
    graph = onnx.helper.make_graph(nodes, "small", [x], [y], [onnx.numpy_helper.from_array(weight, "w")])
    path = tmp_path / "small.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_model_file_is_sliced_once(model: Path, tmp_path: Path) -> None:
    """The second time the kept plan is used as it is."""
    first = sliced_folder(model, tmp_path / "cache")
    stamp = (first / "plan.json").stat().st_mtime_ns
    assert sliced_folder(model, tmp_path / "cache") == first
    assert (first / "plan.json").stat().st_mtime_ns == stamp
    assert len(load_plan(first).stages) > 1
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_another_version_of_the_file_is_another_plan(model: Path, tmp_path: Path) -> None:
    """The plan is found by the file's contents, not by its name."""
    first = sliced_folder(model, tmp_path / "cache")
    loaded = onnx.load(model)
    loaded.graph.initializer[0].raw_data = bytes(4 * WIDTH * WIDTH)
    onnx.save(loaded, model)
    assert sliced_folder(model, tmp_path / "cache") != first


def test_other_wishes_for_the_same_file_are_another_plan(pictures: Path, tmp_path: Path) -> None:
    """What the options say is in the plan; the same options find it again."""
    plain, wished = (
        sliced_folder(pictures, tmp_path, wishes_of(wishes))
        for wishes in ({}, {"scale": 1, "channels": "BGR", "fit": "letterbox-114", "labels": ["a", "b", "c"]})
    )
    assert plain != wished
    assert load_plan(plain).preprocess == Preprocess("image", 8, 8, 3)
    assert load_plan(plain).guesses
    assert load_plan(wished).preprocess == Preprocess("image", 8, 8, 3, fit="letterbox-114", scale=1.0, order="BGR")
    assert load_plan(wished).output["labels"] == ["a", "b", "c"]
    assert sliced_folder(pictures, tmp_path, wishes_of({"fit": "letterbox-114"})) not in (plain, wished)


def test_edge_run_takes_what_partway_plan_takes(pictures: Path, tmp_path: Path, edge_run: EdgeRun) -> None:
    """A guess is printed as one; what options say is none."""
    run = ("--model", str(pictures), "--cloud", "none", "--frames", "1", "--cache", str(tmp_path / "c"))
    guessed = edge_run(*run)
    assert guessed.returncode == 0, guessed.stderr
    assert (
        "guess  pixels 0..1" in guessed.stdout and "set --scale, --mean, --std, --channels or --fit" in guessed.stdout
    )
    told = edge_run(*run, "--scale", "1", "--channels", "BGR", "--fit", "letterbox-topleft", "--task", "classify")
    assert told.returncode == 0, told.stderr
    assert "guess" not in told.stdout


@pytest.mark.parametrize("model", ["mnist", "plan", "resnet18"])
def test_options_of_model_files_are_refused_for_plans(
    model: str, pictures: Path, tmp_path: Path, edge_run: EdgeRun
) -> None:
    """Their plan says it; nothing is ignored."""
    if model == "plan":
        model = str(sliced_folder(pictures, tmp_path))
    done = edge_run("--model", model, "--cloud", "none", "--mean", "0.5", "--fit", "crop")
    assert done.returncode == 2
    assert "--mean, --fit: for model files only" in done.stderr and done.stderr.count("\n") == 1


def test_edge_run_takes_a_model_file(model: Path, tmp_path: Path, edge_run: EdgeRun) -> None:
    """A file of one's own runs through a real split at once, on random input."""
    done = edge_run(
        "--model", str(model), "--cloud", "embedded", "--split", "1", "--frames", "4", "--cache", str(tmp_path / "c"),
        "--json", "-",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["model"] == "perceptron"
    assert [frame["answered_by"] for frame in made["frames"]] == ["cloud"] * 4


@pytest.mark.parametrize("content", [None, b"", b"not a model", bytes(1000)])
def test_a_file_that_is_no_model_is_refused(content: bytes | None, tmp_path: Path, edge_run: EdgeRun) -> None:
    """Missing, empty and wrong files give one sentence that names the file, exit code 2, and leave nothing behind."""
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    done = edge_run("--model", str(path), "--cloud", "none", "--cache", str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "bad.onnx" in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert not list((tmp_path / "cache").glob("plans/*"))


def test_only_known_suffixes_are_model_files() -> None:
    """A plan's folder and a name are not."""
    assert is_model_file("a/b.ONNX")
    assert not is_model_file("mnist")
    with pytest.raises(InputError, match="cannot be read"):
        sliced_folder(Path("nowhere.onnx"), None)
