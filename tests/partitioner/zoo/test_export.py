"""Models by name, exported: their stages answer like the modules."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import write_fake_plan

import partway
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.formats.picture_input import picture_entry
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.model_file.wishes import Wishes
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.slicing import make_plan
from partway.partitioner.zoo import export as zoo_export
from partway.partitioner.zoo.catalogue import RANDOM_WEIGHTS, ZOO
from partway.partitioner.zoo.export import export_model, keep_plan, main, with_zoo_metadata, zoo_facts
from partway.partitioner.zoo.networks import network
from partway.proto.tensors import TensorSpec

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
made_by_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")


SIDE = 64


@pytest.fixture(scope="module", params=["resnet18", "squeezenet1_1", "unet"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A model by name with random weights, as a file, for small pictures."""
    path = tmp_path_factory.mktemp("zoo") / f"{request.param}.onnx"
    export_model(request.param, path, True, SIDE)
    return request.param, path


@pytest.mark.slow
@made_by_torchvision
def test_stages_answer_like_the_module_at_every_cut(exported, tmp_path):
    """ONNX Runtime's stages against torch itself, for one picture and for three; a wrong suffix is seen."""
    name, path = exported
    module = network(name, True)
    cuts = useful_cuts(open_onnx(path).graph)
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


@pytest.fixture
def made(monkeypatch):
    """In place of exporting a model, write a small plan; returns what was made."""
    calls: list[tuple[str, bool]] = []

    def make(name, out, random, say):
        calls.append((name, random))
        say(f"{name}: slicing")
        if name == "vgg16":
            raise InputError("no network; try again")
        write_fake_plan(out, name=name)

    monkeypatch.setattr(zoo_export, "make_plan", make)
    return calls


def test_a_plan_is_kept_whole_and_made_once(made, tmp_path):
    """Under the model's name and this version; the second time it is only found."""
    folder = keep_plan("resnet18", tmp_path, False, lambda _: None)
    assert folder == tmp_path / "zoo" / f"resnet18-{partway.__version__}"
    assert load_plan(folder).model == "resnet18"
    assert keep_plan("resnet18", tmp_path, False, lambda _: None) == folder
    assert keep_plan("resnet18", tmp_path, True, lambda _: None) != folder
    assert made == [("resnet18", False), ("resnet18", True)]


def test_a_plan_that_cannot_be_made_leaves_nothing_behind(made, tmp_path):
    """No half of a folder that would be taken for a plan."""
    with pytest.raises(InputError, match="no network"):
        keep_plan("vgg16", tmp_path, False, lambda _: None)
    assert [path.name for path in (tmp_path / "zoo").iterdir() if not path.name.endswith(".lock")] == []


def test_a_cache_that_cannot_be_written_is_named(made, tmp_path):
    """The sentence says which option gives another."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"plan of resnet18 cannot be kept in .*give another folder by --cache"):
        keep_plan("resnet18", tmp_path / "file", False, lambda _: None)


def test_the_command_prints_steps_and_ends_with_a_sentence(made, tmp_path, capsys):
    """Exit code 0 and progress, or the error's own code and its words."""
    assert main(["resnet18", "--cache", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "resnet18: slicing\n"
    assert main(["vgg16", "--cache", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "no network; try again\n"
    with pytest.raises(SystemExit, match="2"):
        main(["mnist", "--cache", str(tmp_path)])


@pytest.mark.parametrize("random", [True, False])
def test_a_plan_says_where_its_weights_are_from(tmp_path, random):
    """Random ones are never passed off as published; pictures and classes are left as they are where asked."""
    plan = load_plan(write_fake_plan(tmp_path / "fake"))
    made_known = with_zoo_metadata("resnet18", plan, random, pictures=False, labels=False)
    assert made_known.weights == (RANDOM_WEIGHTS if random else "torchvision IMAGENET1K_V1")
    assert made_known.input == plan.input
    with_pictures = with_zoo_metadata("resnet18", plan, random, labels=False)
    assert Preprocess.from_json(with_pictures.input) == ZOO["resnet18"].preprocess()


def test_an_option_for_pictures_replaces_only_what_it_says():
    """The rest is that of the published weights, so that nothing is left to guess."""
    image = TensorSpec("image", "float32", (None, 3, 224, 224))
    entry, guess = picture_entry([image], Wishes(fit="stretch"), zoo_facts("resnet18"))
    expected = ZOO["resnet18"].preprocess()
    assert Preprocess.from_json(entry) == replace(expected, fit="stretch", crop_from=0)
    assert guess == ""
    assert zoo_facts("ssdlite320").task == ""
