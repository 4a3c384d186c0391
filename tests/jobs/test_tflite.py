"""Real TFLite models through a real split stream: device and cloud in two processes, every picture as the whole model.

The whole model runs here, on LiteRT, unsliced; the stream is edge-run's own.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import RealCloud

from partway.edge.sources.files import open_source
from partway.engines.registry import engine_for
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.preprocess import Preprocess

pytest.importorskip("ai_edge_litert")
EdgeRun = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Job:
    """A model of the reference data, how it wants pictures, where it is cut, and what it is known to get right."""

    file: str
    pictures: str
    options: tuple[str, ...]
    cuts: int
    right: float


JOBS = {
    "MobileNetV2, int8": Job("tf2_mobilenet_v2_1.0_224_ptq.tflite", "imagenet", ("--fit", "crop"), 0, 0.85),
    "ResNet-8, int8": Job("pretrainedResnet_quant.tflite", "cifar10/cifar10_test_2000.npz", (), 2, 0.75),
    "ResNet-8, float32": Job("pretrainedResnet.tflite", "cifar10/cifar10_test_2000.npz", ("--scale", "1"), 2, 0.75),
}


def partway(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "partway", *words], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def planned(job: Job, data: Path, out: Path) -> Plan:
    """Sliced at its useful cuts, or where it has none at some of its legal ones, by name."""
    model = data / "tflite" / job.file
    cuts: tuple[str, ...] = ()
    if job.cuts:
        legal = [
            c["values"] for c in json.loads(partway("cuts", str(model), "--json"))["cuts"] if len(c["values"]) == 1
        ]
        inner = legal[:: max(1, len(legal) // (job.cuts + 1))][1 : job.cuts + 1]
        cuts = ("--cuts", ",".join(values[0] for values in inner))
    partway("slice", str(model), "--out", str(out), *job.options, *cuts)
    return load_plan(out)


def whole_answers(job: Job, data: Path, plan: Plan) -> np.ndarray:
    """The class that the unsliced model gives to each picture."""
    stage = engine_for("litert", 1).load((data / "tflite" / job.file).read_bytes())
    preprocess = Preprocess.from_json(plan.input)
    samples = (item.read() for item in open_source([str(data / job.pictures)], plan))
    (output,) = plan.outputs
    return np.array([stage.run(sample.tensors(preprocess))[output].argmax() for sample in samples])


def labels(job: Job, data: Path) -> np.ndarray:
    """The right classes, in the order of the pictures; the ImageNet models have a class for the background first."""
    if job.pictures == "imagenet":
        known = json.loads((data / "imagenet" / "labels.json").read_text())
        return np.array([known[path.name] + 1 for path in sorted((data / "imagenet").glob("*.JPEG"))])
    return np.load(data / job.pictures)["labels"]


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_every_picture_is_answered_as_the_whole_model_answers_it(
    name: str, data: Path, tmp_path: Path, start_cloud: Callable[..., RealCloud], edge_run: EdgeRun
) -> None:
    """Through the stream at a real split, picture by picture; and the model is as good as it is known to be."""
    job = JOBS[name]
    plan = planned(job, data, tmp_path / "plan")
    cloud = start_cloud("--models", str(tmp_path), "--threads", "1")
    options = ("--model", str(tmp_path / "plan"), "--cloud", cloud.address, "--threads", "1", "--json", "-")
    split = str(max(1, len(plan.stages) // 2))
    done = edge_run(*options, "--split", split, "--codec", "raw", "--input", str(data / job.pictures), timeout_s=200)
    assert done.returncode == 0, done.stderr
    frames = json.loads(done.stdout)["frames"]
    assert {frame["answered_by"] for frame in frames} == {"cloud"}
    assert {frame["cut"] for frame in frames} == {int(split)}
    split_answers = np.array([frame["top"][0]["index"] for frame in frames])
    assert np.array_equal(split_answers, whole_answers(job, data, plan))
    assert len(frames) == (300 if job.pictures == "imagenet" else 2000)
    assert (split_answers == labels(job, data)).mean() >= job.right
