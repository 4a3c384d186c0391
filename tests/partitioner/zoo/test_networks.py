"""Models by name: what the catalogue says of them is so, and their stages answer like the modules they are made of."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from partway.cli.main import main
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.plan.plan import load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.slicing import make_plan
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.catalogue import RANDOM_WEIGHTS, ZOO
from partway.partitioner.zoo.cuts import cuts_of
from partway.partitioner.zoo.export import export_model
from partway.partitioner.zoo.networks import import_torchvision, labels_of, network, weights_of

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
if find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)

SIDE = 64


@pytest.fixture(scope="module", params=["resnet18", "squeezenet1_1", "unet"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A model by name with random weights, as a file, for small pictures."""
    path = tmp_path_factory.mktemp("zoo") / f"{request.param}.onnx"
    export_model(request.param, path, True, SIDE)
    return request.param, path


def test_stages_answer_like_the_module_at_every_cut(exported, tmp_path):
    """ONNX Runtime's stages against torch itself, for one picture and for three; a wrong suffix is seen."""
    name, path = exported
    module = network(name, True)
    cuts = cuts_of(open_onnx(path).graph)
    assert len(cuts) >= 3
    plan = make_plan(path, tmp_path, [str(cut) for cut in cuts])
    chain = load_folder(tmp_path, plan, engine_for("onnx"))
    for batch in (1, 3):
        values = np.random.default_rng(batch).random((batch, 3, SIDE, SIDE), dtype=np.float32)
        with torch.no_grad():
            wanted = module(torch.from_numpy(values)).numpy()
        for k in plan.splits:
            answer = run_split(chain, {"image": values}, k)[plan.outputs[0]]
            assert relative_error(wanted, answer) < 1e-4
            assert (answer.argmax(1) == wanted.argmax(1)).all()
            assert relative_error(wanted, answer * 1.01) > 1e-4


def test_random_weights_are_the_same_every_time():
    """Two machines that make a model with random weights make the same."""
    torch.manual_seed(7)
    one, before = network("squeezenet1_1", True), torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(before, torch.rand(1))
    other = network("squeezenet1_1", True)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert sum(parameter.numel() for parameter in one.parameters()) == ZOO["squeezenet1_1"].parameters


def test_pictures_are_made_as_the_published_weights_want_them():
    """Sizes, mean and deviation of every model are torchvision's own; there is a name for each class."""
    for model in ZOO.values():
        if not model.weights:
            continue
        published, made = weights_of(model), model.preprocess()
        auxiliary = 3_326_696 if model.name == "inception_v3" else 0  # of the outputs that only training reads
        assert published.meta["num_params"] == model.parameters + auxiliary, model.name
        if model.imagenet:
            transforms = published.transforms()
            assert transforms.crop_size == [model.side] and transforms.resize_size == [model.crop_from], model.name
            assert (made.mean, made.std) == (tuple(transforms.mean), tuple(transforms.std))
            assert len(labels_of(model)) == 1000
        assert Preprocess.from_json(made.to_json()) == made


def test_a_detector_has_boxes_and_scores():
    """Several outputs, by name, for each anchor; what decides by the data is left out."""
    detector = network("ssdlite320", True)
    with torch.no_grad():
        found = detector(torch.zeros(2, 3, 320, 320))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (2, 3234, 4),
        "scores": (2, 3234, 91),
    }


def test_the_table_lists_every_name(capsys):
    """`partway models`, for people and for programs."""
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert {"mnist", *ZOO} <= set(rows)
    assert all(name in shown for name in rows)
    assert rows["vit_b_16"]["weights"] == "torchvision IMAGENET1K_V1" and rows["unet"]["weights"] == ""


def test_weights_that_cannot_be_had_are_told(monkeypatch, tmp_path):
    """Without a network, or where nobody published any: one sentence that names --random-weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(InputError, match=r"squeezenet1_1 cannot be fetched .*no network.*--random-weights"):
        network("squeezenet1_1")
    with pytest.raises(InputError, match=r"nobody has published weights for unet.*--random-weights"):
        network("unet")


def test_published_weights_are_loaded(monkeypatch, tmp_path):
    """A file that torchvision's hub has fetched before is taken; what only training reads of it is left."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    whole = import_torchvision().models.googlenet(weights=None, init_weights=False, aux_logits=True).eval()
    file = tmp_path / "hub" / "checkpoints" / weights_of(ZOO["googlenet"]).url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(whole.state_dict(), file)
    loaded = network("googlenet")
    assert loaded.transform_input and torch.equal(loaded.conv1.conv.weight, whole.conv1.conv.weight)


def test_a_model_by_name_runs_over_two_processes(tmp_path, monkeypatch):
    """edge-run by name: the plan is made once, by a process of its own; the device never imports torch or onnx."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
    with pytest.raises(InputError, match="no plan of squeezenet1_1 yet; make one with"):
        model_folder("squeezenet1_1")
    first = edge("--split", "2", "--frames", "2", "--json", "-")
    assert first.returncode == 0, first.stderr
    done = json.loads(first.stdout)
    assert done["model"] == "squeezenet1_1-random" and done["plan"]["weights"] == RANDOM_WEIGHTS
    assert {frame["answered_by"] for frame in done["frames"]} == {"cloud"}
    assert done["frames"][0]["top"][0]["label"]
    plan = load_plan(model_folder("squeezenet1_1"))
    assert plan.weights == RANDOM_WEIGHTS and plan.batches and len(plan.stages) >= 4
    again = edge("--split", "3", "--frames", "1")
    assert again.returncode == 0 and "preparing" not in again.stdout
    assert "weights  random (seed 0)" in again.stdout


EDGE = """
import sys
from partway.edge.main import main
code = main(["--model", "squeezenet1_1", "--random-weights", "--cloud", "embedded", *sys.argv[1:]])
assert not {"torch", "torchvision", "onnx", "onnxscript"} & set(sys.modules)
sys.exit(code)
"""


def edge(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", EDGE, *options], capture_output=True, text=True, timeout=300, check=False
    )


def test_random_weights_are_for_models_by_name(capsys):
    """With a model that has its own weights the option is refused by device and cloud."""
    from partway.cloud.main import main as cloud_serve
    from partway.edge.main import main as edge_run

    assert edge_run(["--model", "mnist", "--random-weights"]) == 2
    assert cloud_serve(["--random-weights"]) == 2
    assert cloud_serve(["--model", "resnet1"]) == 2
    said = capsys.readouterr().err
    assert "`partway models` lists" in said and "did you mean resnet18" in said
    assert import_torchvision().models
