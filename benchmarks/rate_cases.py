"""The models and real inputs of the rate and accuracy figures, drawn into two halves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from partway.engines.registry import engine_for
from partway.partitioner.calibrate.accuracy import CalibrationFrame
from partway.partitioner.calibrate.logits import LastStage, before_softmax
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.formats.model_metadata import Wishes, described
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.slicing import make_plan, read_graph
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.idx import read_idx

SEED = 7
MOBILENET_CUTS = ("2/project", "3/add", "4/project", "6/add", "7/project", "9/add", "14/project", "16/add")


@dataclass(frozen=True)
class Case:
    """A model in stages, and real inputs in two halves."""

    name: str
    chain: Chain
    preprocess: Preprocess | None
    halves: tuple[Sequence[CalibrationFrame], Sequence[CalibrationFrame]]
    last_stage: LastStage | None
    file: Path | None = None
    """The whole model, where it is a file of its own."""


def halves(frames: Sequence[CalibrationFrame], most: int) -> tuple[list[CalibrationFrame], list[CalibrationFrame]]:
    """Two disjoint halves of at most ``most`` frames in all, drawn by a fixed seed."""
    order = np.random.default_rng(SEED).permutation(len(frames))[:most]
    half = len(order) // 2
    return [frames[i] for i in sorted(order[:half])], [frames[i] for i in sorted(order[half:])]


def mobilenet(data: Path, folder: Path, cuts: Sequence[str] = MOBILENET_CUTS) -> Case:
    """MobileNetV2 (int8) on ImageNet photographs."""
    from PIL import Image

    file = data / "tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite"
    names = [cut.cut.values[0] for cut in legal_cuts(read_graph(file, {})) if len(cut.cut.values) == 1]
    values = [next(n for n in names if f"expanded_conv_{mark}" in n.split(";")[0]) for mark in cuts]
    values.append(next(n for n in names if n.startswith("MobileNetV2/top/Reshape")))
    chain = sliced(file, folder, values, Wishes(fit="crop"))
    chain = Chain(replace(chain.plan, input={**chain.plan.input, "crop_from": 256}), chain.stages)
    preprocess = chain.plan.preprocess
    assert preprocess is not None
    classes = json.loads((data / "imagenet/labels.json").read_text())
    frames = []
    for path in sorted((data / "imagenet").glob("*.JPEG")):
        with Image.open(path) as picture:
            pixels = preprocess.pixels(picture)
        frames.append(CalibrationFrame({preprocess.value: preprocess.tensor(pixels)}, pixels, classes[path.name] + 1))
    return Case(
        "MobileNetV2 int8, ImageNet",
        chain,
        preprocess,
        halves(frames, 300),
        before_softmax(folder, chain.plan, engine_for("litert", 1)),
        file,
    )


def resnet(data: Path, folder: Path) -> Case:
    """ResNet-8 (float32) on CIFAR-10."""
    file = data / "tflite/pretrainedResnet.tflite"
    frontiers = [f for f in legal_cuts(read_graph(file, {})) if len(f.cut.values) == 1]
    last = {frontier.size_bytes: frontier.cut.values[0] for frontier in frontiers}  # the last of each size
    cuts = [value for size, value in last.items() if 100 < size < 40_000]
    chain = sliced(file, folder, cuts, Wishes(scale=1.0))
    preprocess = chain.plan.preprocess
    assert preprocess is not None
    with np.load(next((data / "cifar10").glob("*.npz"))) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    frames = [
        CalibrationFrame({preprocess.value: preprocess.tensor(image)}, image, int(label))
        for image, label in zip(images, labels, strict=True)
    ]
    return Case(
        "ResNet-8 float32, CIFAR-10",
        chain,
        preprocess,
        halves(frames, 600),
        before_softmax(folder, chain.plan, engine_for("litert", 1)),
        file,
    )


def mnist(data: Path, _: Path) -> Case:
    """The shipped model on MNIST."""
    plan = load_plan(model_folder("mnist"))
    chain = load_folder(model_folder("mnist"), plan, engine_for(plan.engine, 1))
    preprocess = plan.preprocess
    assert preprocess is not None
    images = read_idx(next((data / "mnist").glob("t10k-images*")))
    labels = read_idx(next((data / "mnist").glob("t10k-labels*")))
    frames = [
        CalibrationFrame({preprocess.value: preprocess.tensor(image[:, :, None])}, image[:, :, None], int(label))
        for image, label in zip(images[:2000], labels[:2000], strict=True)
    ]
    last = before_softmax(model_folder("mnist"), plan, engine_for(plan.engine, 1))
    return Case("shipped CNN float32, MNIST", chain, preprocess, halves(frames, 600), last)


CASES = {"mobilenet": mobilenet, "resnet": resnet, "mnist": mnist}


def sliced(file: Path, folder: Path, cuts: Sequence[str] | None, wishes: Wishes) -> Chain:
    """The model in stages, one thread."""
    plan = make_plan(file, folder, ",".join(cuts) if cuts else "auto")
    chain = load_folder(folder, plan, engine_for(plan.engine, 1))
    plan = described(plan, chain, wishes)
    return Chain(replace(plan, output={"kind": "classify", "value": plan.outputs[0]}), chain.stages)
