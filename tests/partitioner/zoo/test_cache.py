"""Plans of models by name, kept once made."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.catalogue import RANDOM_WEIGHTS
from partway.partitioner.zoo.networks import import_torchvision

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
if find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)


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
