"""Plans of models by name, kept once made."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

import partway
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import cache, model_folder
from partway.partitioner.zoo.cache import is_zoo_model, plan_name, prepare, prepared_folder
from partway.partitioner.zoo.catalogue import RANDOM_WEIGHTS
from partway.partitioner.zoo.networks import import_torchvision

made_by_torchvision = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("torch", "onnxscript", "torchvision")),
    reason="torchvision is not installed",
)


@pytest.mark.slow
@made_by_torchvision
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


@made_by_torchvision
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


CHILD = """
import sys
print("resnet18: exporting", flush=True)
print("resnet18: slicing", flush=True)
{ending}
"""


@pytest.fixture
def child(monkeypatch):
    """In place of the process that makes a plan, one that runs this code; returns what it was called with."""
    called = []

    def start(ending):
        real = subprocess.Popen

        def popen(command, **options):
            called.append(command)
            return real([sys.executable, "-c", CHILD.format(ending=ending), *command[4:]], **options)

        monkeypatch.setattr(cache.subprocess, "Popen", popen)
        return called

    return start


def test_a_plan_is_made_once_and_then_found(child, tmp_path):
    """Its steps are passed on as they come; the second time no process is started."""
    target = tmp_path / "zoo" / f"resnet18-{partway.__version__}"
    called = child(
        f"import pathlib; p = pathlib.Path({str(target)!r}); p.mkdir(parents=True); (p / 'plan.json').touch()"
    )
    steps: list[str] = []
    assert prepare("resnet18", False, tmp_path, steps.append) == target
    assert steps == ["resnet18: exporting", "resnet18: slicing"]
    assert called[0][1:] == ["-m", "partway.partitioner.zoo.export", "resnet18", "--cache", str(tmp_path)]
    assert prepare("resnet18", False, tmp_path, steps.append) == target
    assert len(called) == 1
    assert prepared_folder("resnet18", True, tmp_path) is None


def test_random_weights_are_asked_for_by_their_option(child, tmp_path):
    """They have a plan of their own; one that then is not there is said to be missing."""
    called = child("")
    with pytest.raises(InputError, match=r"was made, but is not in .*give another folder with --cache"):
        prepare("resnet18", True, tmp_path, lambda _: None)
    assert called[0][-1] == "--random-weights"


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ("sys.exit('first line\\nno network')", "no network"),
        ("sys.exit(3)", "ended with code 3 and no message"),
    ],
)
def test_a_plan_that_cannot_be_made_ends_with_the_childs_last_words(child, tmp_path, ending, says):
    """One sentence, whatever else the process wrote."""
    child(ending)
    with pytest.raises(InputError, match=says) as caught:
        prepare("resnet18", False, tmp_path, lambda _: None)
    assert "\n" not in str(caught.value)


def test_shipped_models_need_no_making(tmp_path):
    """And a name that nobody knows is answered with those that are known."""
    assert prepare("mnist", False, tmp_path, lambda _: None) == model_folder("mnist")
    with pytest.raises(InputError, match="did you mean resnet18"):
        prepare("resnet1", False, tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_names_of_plans_tell_random_weights():
    """Nobody should take them for the model."""
    assert (plan_name("unet", True), plan_name("unet", False)) == ("unet-random", "unet")
    assert is_zoo_model("unet")
    assert not is_zoo_model("mnist")
