"""How much slower are frames with a chain's few cuts than with the best of all legal cuts?

    python -m benchmarks.cut_regret --minilm MINILM.onnx [--data DIR] [--models NAME ...] [--json FILE]

The chain is what `partway slice` chooses: bytes measured on generated inputs, times measured once. It is judged by
another measurement, of bytes on photographs and of times, against every frontier along every order of the graph (not
only those that nest with the chain), in every setting of ``partitioner/cuts/situations.py``: 2 objectives under 5
constraints, each over 10 links of 0.25 to 100 Mbps, devices of 1 to 30 times this machine's time, clouds like this
machine and 4 times as fast, and 4 levels of coding. "estimated" is the same for a chain chosen without running the
model. ResNet-50, VGG-16 and MobileNetV2 have torchvision's definitions and random weights; the others are trained.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import machine_line
from partway.engines.registry import engine_for
from partway.partitioner.cuts.candidates import every_frontier
from partway.partitioner.cuts.chain import choose_chain, splits_of, useful_cuts
from partway.partitioner.cuts.costs import Costs
from partway.partitioner.cuts.measured import measured_costs
from partway.partitioner.cuts.samples import Sample, sample_attempts
from partway.partitioner.cuts.situations import CONSTRAINTS, OBJECTIVES, Regret, Regrets
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.model_file.model_format import SliceableModel
from partway.partitioner.plan.preprocess import Preprocess, guess_preprocess
from partway.partitioner.slicing import costs_here, open_model
from partway.partitioner.zoo.catalogue import ZOO
from partway.partitioner.zoo.export import export_model

RESULTS = Path(__file__).parent / "results" / "cut_regret.json"
PHOTOGRAPHS = 3


@dataclass(frozen=True)
class Case:
    """A model file (None: exported from the zoo), its input's shape, and what pixels are multiplied by."""

    file: str | None
    shape: tuple[int, ...] = ()
    scale: float | None = None


CASES = {
    "resnet50": Case(None),
    "vgg16": Case(None),
    "mobilenet_v2": Case(None),
    "yolov8n": Case("nudenet_yolov8n_320.onnx", (1, 3, 320, 320)),
    "yolox_nano": Case("yolox_nano.onnx", scale=1.0),
    "ppocr_det": Case("ch_PP-OCRv4_det_infer.onnx", (1, 3, 640, 640)),
    "minilm": Case("minilm"),
}


def opened(name: str, file: Path) -> tuple[SliceableModel, Preprocess | None]:
    """The model, and how a picture becomes its input."""
    case = CASES.get(name, Case(None))
    sizes = {}
    if case.shape:
        with_any = open_model(file, {})
        sizes = {with_any.graph.inputs[0]: case.shape}
    source = open_model(file, sizes)
    if name in ZOO:
        return source, ZOO[name].preprocess()
    guessed = guess_preprocess(source.graph.values[source.graph.inputs[0]]) if len(source.graph.inputs) == 1 else None
    if guessed is not None and case.scale is not None:
        guessed = Preprocess(**{**vars(guessed), "scale": case.scale})
    return source, guessed


def photographed(source: SliceableModel, picture: Preprocess | None, folder: Path) -> list[Sample]:
    """Inputs of photographs; of words where the model takes no pictures."""
    if picture is None:
        return next(sample_attempts(source.graph))[0]
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg"))
    samples = []
    for file in files[:: len(files) // PHOTOGRAPHS][:PHOTOGRAPHS]:
        with Image.open(file) as opened_file:
            pixels = picture.pixels(opened_file)
        samples.append(Sample({picture.value: picture.tensor(pixels)}, pixels))
    return samples


def judged(source: SliceableModel, costs: Costs, cuts: Sequence[Cut]) -> tuple[Regret, ...]:
    """The regret of a chain against every frontier, by these costs."""
    graph = source.graph
    frontiers = every_frontier(graph, costs.typical_bytes, costs.operator_s)
    missing = [cut for cut in cuts if all(one.cut != cut for one in frontiers)]
    if missing:
        frontiers = (*frontiers, *every_frontier(graph))
    splits = splits_of(graph, costs, frontiers)
    places = [at for at, one in enumerate(frontiers, 1) if one.cut in cuts]
    return Regrets(splits).of([0, *places, len(frontiers) + 1])


def measured(name: str, file: Path, photographs: Path) -> dict[str, Any]:
    """The row of one model."""
    source, picture = opened(name, file)
    begun = time.perf_counter()
    first = costs_here(source, picture)
    costs_s = time.perf_counter() - begun
    begun = time.perf_counter()
    choice = choose_chain(source.graph, first)
    choosing_s = time.perf_counter() - begun
    samples = photographed(source, picture, photographs)
    again = measured_costs(source, engine_for(source.engine), samples, f"{len(samples)} photographs")
    by = {"measured": choice.cuts, "estimated": useful_cuts(source.graph)}
    share = dict(
        zip((one.cut for one in choice.legal), choice.splits.prefix_s[1:] / choice.splits.prefix_s[-1], strict=False)
    )
    return {
        "model": name,
        "legal": len(choice.legal),
        "cuts": [str(cut) for cut in choice.cuts],
        "time_shares": [float(share[cut]) for cut in choice.cuts],
        "measuring_s": costs_s,
        "choosing_s": choosing_s,
        "seconds": [sum(first.operator_s), sum(again.operator_s)],
        "stages": {way: len(cuts) + 1 for way, cuts in by.items()},
        "regret": {
            way: [
                {"objective": one.objective, "constraint": one.constraint, "mean": one.mean, "worst": one.worst}
                for one in judged(source, again, cuts)
            ]
            for way, cuts in by.items()
        },
    }


def show(rows: Sequence[dict[str, Any]], way: str) -> str:
    """Mean and worst regret of each model in each setting, in Markdown."""
    lines = [
        "| model | stages | objective | " + " | ".join(CONSTRAINTS) + " |",
        "| --- | --- | --- |" + " --- |" * len(CONSTRAINTS),
    ]
    for row in rows:
        for objective in OBJECTIVES:
            some = {one["constraint"]: one for one in row["regret"][way] if one["objective"] == objective}
            cells = [f"{some[one]['mean']:.1%} / {some[one]['worst']:.1%}" for one in CONSTRAINTS]
            lines.append(f"| {row['model']} | {row['stages'][way]} | {objective} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--minilm", type=Path, help="benchmarks/minilm.py makes it")
    parser.add_argument("--exported", type=Path, help="a folder that keeps the exported models")
    parser.add_argument("--models", nargs="+", choices=tuple(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--json", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.models:
            case = CASES[name]
            file = args.data / "models" / str(case.file)
            if name == "minilm":
                if args.minilm is None:
                    continue
                file = args.minilm
            elif case.file is None:
                file = (args.exported or Path(temporary)) / f"{name}.onnx"
                if not file.is_file():
                    export_model(name, file, True)
            rows.append(measured(name, file, args.data / "imagenet"))
            print(
                json.dumps({key: rows[-1][key] for key in ("model", "cuts", "measuring_s", "choosing_s")}), flush=True
            )
    for way in ("measured", "estimated"):
        print(f"\n{way}, mean / worst:\n\n{show(rows, way)}")
    settings = np.array([[one["mean"], one["worst"]] for row in rows for one in row["regret"]["measured"]])
    print(f"\nworst setting of all: mean {settings[:, 0].max():.1%}, worst {settings[:, 1].max():.1%}")
    machine = machine_line("onnxruntime")
    print(machine)
    args.json.write_text(json.dumps({"machine": machine, "models": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
