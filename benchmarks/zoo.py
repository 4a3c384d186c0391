"""Check every zoo model: its cuts, and whether its stages answer like its module.

``python -m benchmarks.zoo [--models NAME …] [--pictures N] [--trained]`` prints a table and, of all models, writes
``benchmarks/results/zoo.json``.
Parity is max|torch - stages| / max|torch| over all splits, prefix and suffix run apart as on two machines, ONNX Runtime
against torch in fp32, on real photographs; the top class has to be the same at every split. Without ``--trained`` the
weights are random (seed 0), so that no network is needed; which operators run is the same. Random networks answer much
the same to every picture ("answers seen"), so an equal top class says little of them; "of what differs" is the largest
error over the largest difference of one picture's answer from the mean answer, which a constant cannot pass.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_line
from partway.engines.registry import engine_for
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.formats.pytorch.export import write_onnx
from partway.partitioner.formats.pytorch.trace import trace
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.slicing import open_model, plan_model
from partway.partitioner.zoo.catalogue import IMAGE, RANDOM_WEIGHTS, ZOO
from partway.partitioner.zoo.networks import network

RESULTS = Path(__file__).parent / "results" / "zoo.json"
TOLERANCE = 1e-4


def measured(name: str, pictures: list[Path], random: bool) -> dict[str, Any]:
    """One row: cuts, parity at every split, equality of the top class."""
    import torch

    model, module = ZOO[name], network(name, random)
    traced = trace(module, torch.zeros(2, 3, model.side, model.side) + 0.5)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(traced, file, [IMAGE])
        source = open_model(file)
        plan = plan_model(source, useful_cuts(source.graph), Path(folder), name)
        chain = load_folder(Path(folder), plan, engine_for(plan.engine))
    errors, same, classes = [0.0] * len(plan.splits), 0, set()
    answers, worst = [], 0.0
    for picture in pictures:
        with Image.open(picture) as opened:
            values = model.preprocess().tensor(model.preprocess().pixels(opened))
        with torch.no_grad():
            expected = [leaf.numpy() for leaf in torch.utils._pytree.tree_leaves(module(torch.from_numpy(values)))]
        alike = True
        for k in plan.splits:
            answer = run_split(chain, {IMAGE: values}, k)
            ours = [answer[output] for output in plan.outputs]
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(expected, ours, strict=True)))
            errors[k] = max(errors[k], *(relative_error(a, b) for a, b in zip(expected, ours, strict=True)))
            alike &= all(np.array_equal(top(a), top(b)) for a, b in zip(expected, ours, strict=True))
        same += alike
        answers.append(expected[-1][0])
        classes.add(top(expected[0]).tobytes())
    return {
        "model": name,
        "weights": RANDOM_WEIGHTS if random else f"torchvision {model.weights}",
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "input": [3, model.side, model.side],
        "operators": len(source.graph.operators),
        "batch_free": plan.batches,
        "cuts": [str(cut) for cut in plan.cuts],
        "bytes": [sum(spec.size_bytes() for spec in plan.crossing(k)) for k in plan.splits],
        "parity": errors,
        "error_of_spread": worst / float(np.abs(answers - np.mean(answers, 0)).max()),
        "pictures": len(pictures),
        "same_top": same,
        "answers_seen": len(classes),
    }


def top(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The best class: of the picture, of each pixel, of each anchor. Boxes have none."""
    if scores.shape[-1] == 4:
        return np.zeros(1)
    return scores.argmax(1 if scores.ndim != 3 else 2)


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    table = Table(title="models by name: stages on ONNX Runtime against torch")
    for column in (
        "model",
        "parameters",
        "operators",
        "inner cuts",
        "worst error",
        "of what differs",
        "top class equal",
        "answers seen",
    ):
        table.add_column(column, justify="left" if column in ("model", "inner cuts") else "right")
    for row in rows:
        cuts = ", ".join(cut.split(" + ")[0] + (" + …" if " + " in cut else "") for cut in row["cuts"][1:-1])
        equal = f"{row['same_top']} of {row['pictures']}"
        millions = f"{row['parameters'] / 1e6:.1f} M"
        worst = f"{max(row['parity']):.1e}"
        spread = f"{row['error_of_spread']:.1e}"
        table.add_row(
            row["model"], millions, str(row["operators"]), cuts, worst, spread, equal, str(row["answers_seen"])
        )
    Console(width=160).print(table)


def main() -> int:
    """Measure, print, write. 1 when a model is not at parity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(ZOO), choices=list(ZOO), metavar="NAME")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "imagenet")
    parser.add_argument("--trained", action="store_true", help="published weights, through torchvision's hub")
    args = parser.parse_args()
    found = sorted(args.data.glob("*.[jJ]*[gG]"))
    pictures = found[:: max(1, len(found) // args.pictures)][: args.pictures]
    rows = []
    for name in args.models:
        rows.append(measured(name, pictures, not args.trained or not ZOO[name].weights))
        print(
            f"{name}: worst error {max(rows[-1]['parity']):.1e}, {rows[-1]['same_top']} of {len(pictures)}", flush=True
        )
    show(rows)
    if set(args.models) == set(ZOO):
        RESULTS.write_text(
            json.dumps(
                {
                    "machine": machine_line("torch", "torchvision", "onnxruntime"),
                    "tolerance": TOLERANCE,
                    "models": rows,
                },
                indent=1,
            )
            + "\n"
        )
    return int(any(max(row["parity"]) > TOLERANCE or row["same_top"] < row["pictures"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
