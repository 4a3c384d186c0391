"""Bytes a frame against what the answers keep: every cut with every codec, and JPEG and WebP at many qualities.

    python -m benchmarks.rate_accuracy [--data DIR] [--picture docs/rate_accuracy.png] [--json FILE] [mobilenet ...]

Codecs are fitted and chosen on one half of the pictures, drawn by a fixed seed; every figure is of the other half.
Bytes are those of the coded tensor, its header included; tables and bases are in the plan, not in the frame.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine_line
from partway.engines.engine import engine_for
from partway.partitioner.agreement import Frame, measure_codec, reference
from partway.partitioner.chain import Chain, load_folder
from partway.partitioner.codec_calibration import CodecCalibration, Notes
from partway.partitioner.describe import Wishes, described
from partway.partitioner.frontiers import legal_cuts
from partway.partitioner.idx import read_idx
from partway.partitioner.plan import Plan, load_plan
from partway.partitioner.preprocess import Preprocess
from partway.partitioner.profile import measure
from partway.partitioner.slicing import make_plan, read_graph
from partway.partitioner.zoo import model_folder
from partway.proto.fitted import codebook

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
SEED = 7
QUALITIES = (98, 95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10)
PICTURES = ("u8", "png", "webp-lossless", *(f"{f}{q}" for f in ("jpeg", "webp") for q in QUALITIES))
SHARES = (0.99, 0.98)
MOBILENET_CUTS = ("2/project", "4/project", "7/project", "14/project", "16/add")


@dataclass(frozen=True)
class Case:
    """A model in stages, and real inputs in two halves."""

    name: str
    chain: Chain
    preprocess: Preprocess | None
    fitted_on: Sequence[Frame]
    tested_on: Sequence[Frame]


def halves(frames: Sequence[Frame], most: int) -> tuple[list[Frame], list[Frame]]:
    """Two disjoint halves of at most ``most`` frames in all, drawn by a fixed seed."""
    order = np.random.default_rng(SEED).permutation(len(frames))[:most]
    half = len(order) // 2
    return [frames[i] for i in sorted(order[:half])], [frames[i] for i in sorted(order[half:])]


def mobilenet(data: Path, folder: Path) -> Case:
    """MobileNetV2 (int8) on ImageNet photographs."""
    from PIL import Image

    file = data / "tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite"
    names = [cut.cut.values[0] for cut in legal_cuts(read_graph(file, {})) if len(cut.cut.values) == 1]
    wanted = [next(n for n in names if f"expanded_conv_{mark}" in n.split(";")[0]) for mark in MOBILENET_CUTS]
    wanted.append(next(n for n in names if n.startswith("MobileNetV2/top/Reshape")))
    chain = sliced(file, folder, wanted, Wishes(fit="crop"))
    chain = Chain(replace(chain.plan, input={**chain.plan.input, "crop_from": 256}), chain.stages)
    preprocess = Preprocess.from_json(chain.plan.input)
    assert preprocess is not None
    classes = json.loads((data / "imagenet/labels.json").read_text())
    frames = []
    for path in sorted((data / "imagenet").glob("*.JPEG")):
        with Image.open(path) as picture:
            pixels = preprocess.pixels(picture)
        frames.append(Frame({preprocess.value: preprocess.tensor(pixels)}, pixels, classes[path.name] + 1))
    return Case("MobileNetV2 int8, ImageNet", chain, preprocess, *halves(frames, 300))


def resnet(data: Path, folder: Path) -> Case:
    """ResNet-8 (float32) on CIFAR-10."""
    file = data / "tflite/pretrainedResnet.tflite"
    frontiers = [f for f in legal_cuts(read_graph(file, {})) if len(f.cut.values) == 1]
    last = {frontier.size_bytes: frontier.cut.values[0] for frontier in frontiers}  # the last of each size
    cuts = [value for size, value in last.items() if 100 < size < 40_000]
    chain = sliced(file, folder, cuts, Wishes(scale=1.0))
    preprocess = Preprocess.from_json(chain.plan.input)
    assert preprocess is not None
    file = next((data / "cifar10").glob("*.npz"))
    with np.load(file) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    frames = [
        Frame({preprocess.value: preprocess.tensor(image)}, image, int(label))
        for image, label in zip(images, labels, strict=True)
    ]
    return Case("ResNet-8 float32, CIFAR-10", chain, preprocess, *halves(frames, 600))


def mnist(data: Path, _: Path) -> Case:
    """The shipped model on MNIST."""
    plan = load_plan(model_folder("mnist"))
    chain = load_folder(model_folder("mnist"), plan, engine_for(plan.engine, 1))
    preprocess = Preprocess.from_json(plan.input)
    assert preprocess is not None
    images = read_idx(next((data / "mnist").glob("t10k-images*")))
    labels = read_idx(next((data / "mnist").glob("t10k-labels*")))
    frames = [
        Frame({preprocess.value: preprocess.tensor(image[:, :, None])}, image[:, :, None], int(label))
        for image, label in zip(images[:2000], labels[:2000], strict=True)
    ]
    return Case("shipped CNN float32, MNIST", chain, preprocess, *halves(frames, 600))


CASES = {"mobilenet": mobilenet, "resnet": resnet, "mnist": mnist}


def sliced(file: Path, folder: Path, cuts: Sequence[str] | None, wishes: Wishes) -> Chain:
    """The model in stages, one thread."""
    plan = make_plan(file, folder, ",".join(cuts) if cuts else "auto")
    chain = load_folder(folder, plan, engine_for(plan.engine, 1))
    plan = described(plan, chain, wishes)
    return Chain(replace(plan, output={"kind": "classify", "value": plan.outputs[0]}), chain.stages)


def rows_of(case: Case) -> list[Row]:
    """One row per (split, codec), measured on the half that nothing was fitted to, with the calibration's agreement."""
    work = CodecCalibration(case.chain, case.preprocess, case.fitted_on, Notes(None, ""), fitted=True, pruned=False)
    for what, _, _ in work.steps():
        print(f"  {case.name}: {what}        ", end="\r", flush=True)
    fitted = {(e["k"], e["codec"]): e["agreement"] for e in work.entries}
    share = shares(case)
    known = reference(case.chain, case.tested_on)
    found: list[Row] = []
    lives: list[Mapping[str, Array]] = [frame.values for frame in case.tested_on]
    for k in range(len(case.chain.plan.stages)):
        lives = [case.chain.run(live, k - 1, k) for live in lives] if k else lives
        book = codebook(work.codecs)
        codecs = [codec for at, codec in fitted if at == k and not (k == 0 and codec in PICTURES)]
        for codec in [*codecs, *(PICTURES if k == 0 else ())]:
            entry = measure_codec(case.chain, case.preprocess, known, lives, k, codec, book)
            found.append({**entry, "share": share[k], "fitted_agreement": fitted.get((k, codec))})
    return found


def shares(case: Case) -> list[float]:
    """Share of the model's time before each split, medians on this machine, one thread."""
    times = measure(case.chain, case.tested_on[0].values, 3.0).stage_s
    return [sum(times[:k]) / sum(times) for k in range(len(times) + 1)]


def best(rows: Sequence[Row], least: float) -> Row | None:
    """The smallest that keeps so many answers and loses at most half a point of accuracy."""
    good = [r for r in rows if r["agreement"] >= least and r["accuracy_unsplit"] - r["accuracy"] <= 0.005 + 1e-9]
    return min(good, key=lambda row: float(row["bytes_mean"]), default=None)


def table(case: Case, rows: Sequence[Row]) -> str:
    """The smallest frame per split and least agreement, in Markdown."""
    raw = rows[0]
    lines = [
        f"**{case.name}**: {raw['frames']} frames, unsplit top-1 {raw['accuracy_unsplit']:.1%}.",
        "",
        "| at least | what crosses | time before it | codec | bytes, mean / 95 % | equal (other) | top-1 | coding |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    splits = [("picture", 0), *((_shape(case.chain.plan, k), k) for k in range(1, len(case.chain.plan.stages)))]
    for least in SHARES:
        for words, k in splits:
            mine = [row for row in rows if row["k"] == k and (k or row["codec"] in PICTURES)]
            if (row := best(mine, least)) is not None:
                other = "-" if row["fitted_agreement"] is None else f"{row['fitted_agreement']:.1%}"
                coding = (row["encode_s"] + row["decode_s"]) * 1e3
                lines.append(
                    f"| {least:.0%} | {words} | {row['share']:.0%} | {row['codec']} | {row['bytes_mean']:,.0f} /"
                    f" {row['bytes_p95']:,.0f} | {row['agreement']:.1%} ({other}) | {row['accuracy']:.1%} |"
                    f" {coding:.2f} ms |"
                )
    return "\n".join(lines)


def _shape(plan: Plan, k: int) -> str:
    return " + ".join("×".join(str(size) for size in spec.shape[1:]) + f" {spec.dtype}" for spec in plan.crossing(k))


def draw(results: Mapping[str, tuple[Case, Sequence[Row]]], path: Path) -> None:
    """Agreement and top-1 over bytes, one row of panels per model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(results), 2, figsize=(11, 4 * len(results)), squeeze=False)
    for line, (case, rows) in zip(panels, results.values(), strict=True):
        for axes, what in zip(line, ("agreement", "accuracy"), strict=True):
            _curves(axes, case, rows, what)
    panels[0][1].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _curves(axes: Any, case: Case, rows: Sequence[Row], what: str) -> None:
    families = [("JPEG", 0, "jpeg", "--"), ("WebP", 0, "webp", ":")]
    families += [
        (f"{_shape(case.chain.plan, k)}, {rows[0] and _share_of(rows, k):.0%}", k, "", "-")
        for k in range(1, len(case.chain.plan.stages))
    ]
    for label, k, begins, style in families:
        mine = [r for r in rows if r["k"] == k and r["codec"].startswith(begins) and (k or r["codec"][-1].isdigit())]
        points = frontier([(r["bytes_mean"], r[what]) for r in mine])
        if points:
            axes.plot(*zip(*points, strict=True), style, marker="o", markersize=3, linewidth=1.2, label=label)
    axes.set_xscale("log")
    axes.set_ylim(max(0.5, rows[0][what] - 0.25), min(1.005, rows[0][what] + 0.04))
    axes.set_xlabel("bytes a frame, mean")
    axes.set_ylabel({"agreement": "answers equal to the unsplit model", "accuracy": "top-1"}[what])
    axes.set_title(case.name, fontsize=9)
    axes.grid(alpha=0.3)


def _share_of(rows: Sequence[Row], k: int) -> float:
    return float(next(row["share"] for row in rows if row["k"] == k))


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no smaller one matches."""
    found: list[tuple[float, float]] = []
    for size, share in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or share > found[-1][1]:
            found.append((size, share))
    return found


def main() -> None:
    """Measure, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", metavar="|".join(CASES))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, tuple[Case, Sequence[Row]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.cases or CASES:
            case = CASES[name](args.data, Path(folder, name))
            results[name] = (case, rows_of(case))
            print("\n" + table(*results[name]) + "\n", flush=True)
    print(machine_line("numpy", "onnxruntime", "ai-edge-litert", "pillow"))
    if args.json:
        args.json.write_text(json.dumps({name: rows for name, (_, rows) in results.items()}, indent=1) + "\n")
    if args.picture:
        draw(results, args.picture)


if __name__ == "__main__":
    main()
