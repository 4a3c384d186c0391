"""Measure planning without timing runs: read a model, find its cuts, solve for every bandwidth, choose for one link.

One generated model of 500 operators with skip connections, and the torchvision zoo with random weights, exported to
ONNX on the fly. Processor seconds of this process (not of the wall), the median of some rounds.

    python -m benchmarks.plan [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from benchmarks.machine import machine_line
from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.cuts.crossing import input_cut, output_cut, prefix_of, wire_bytes
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.decide.crossovers import Chooser
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import objective
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.cut import Cut

ZOO: dict[str, dict[str, Any]] = {
    "resnet18": {}, "resnet50": {}, "mobilenet_v3_small": {}, "efficientnet_b0": {}, "densenet121": {},
    "googlenet": {"aux_logits": False, "init_weights": False}, "inception_v3": {"init_weights": False},
}  # fmt: skip
SIDES = {"inception_v3": 299}
OPERATORS = 500
DEVICE_OPS, CLOUD_OPS = 1e9, 1e10
"""Multiply-adds per second, in place of a measured profile."""
STEPS = ("read", "legal cuts", "useful cuts", "solve", "choose")


def generated(path: Path, operators: int = OPERATORS, width: int = 16) -> None:
    """A residual network of this many operators: blocks of two convolutions around a skip, a pool now and then."""
    rng = np.random.default_rng(0)
    weights: list[Any] = []
    nodes: list[Any] = []

    def op(kind: str, *inputs: str, weight: tuple[int, ...] = (), **attributes: Any) -> str:
        out = f"v{len(nodes)}"
        if weight:
            weights.append(numpy_helper.from_array(rng.standard_normal(weight).astype(np.float32), f"w{len(nodes)}"))
            inputs = (*inputs, f"w{len(nodes)}")
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    three: dict[str, Any] = {"weight": (width, width, 3, 3), "pads": [1] * 4}
    x = op("Conv", "x", weight=(width, 3, 3, 3), pads=[1] * 4)
    while len(nodes) < operators - 7:
        y = op("Conv", op("Relu", op("Conv", x, **three)), **three)
        x = op("Relu", op("Add", y, x))
        if len(nodes) % 120 < 5:
            x = op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    while len(nodes) < operators - 2:
        x = op("Relu", x)
    y = op("Flatten", op("GlobalAveragePool", x))
    values = [
        helper.make_tensor_value_info("x", 1, ["batch", 3, 112, 112]),
        helper.make_tensor_value_info(y, 1, ["batch", width]),
    ]
    graph = helper.make_graph(nodes, "generated", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def zoo() -> Any:
    """torchvision's models; a build without its compiled operators lacks two declarations that its import wants."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision.models


def exported(name: str, path: Path) -> None:
    """One model of the zoo."""
    import torch

    side = SIDES.get(name, 224)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(zoo(), name)(weights=None, **ZOO[name]).eval()
        torch.onnx.export(
            network, (torch.rand(1, 3, side, side),), path, dynamo=False, opset_version=17,
            input_names=["image"], output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )  # fmt: skip


def estimates(graph: Graph, cuts: Sequence[Cut]) -> list[Estimate]:
    """One candidate a split, uncoded, with stage times by the arithmetic in them."""
    prefixes = [0, *(prefix_of(graph, cut) for cut in cuts), graph.everything]
    work = [graph.work(after & ~before) for before, after in pairwise(prefixes)]
    speeds = Speeds(tuple(one / DEVICE_OPS for one in work), tuple(one / CLOUD_OPS for one in work))
    crossing = [input_cut(graph), *cuts, output_cut(graph)]
    sizes = [round(wire_bytes(graph, cut)) for cut in crossing]
    sending = [Candidate(k, "raw", size, sizes[-1]) for k, size in enumerate(sizes[:-1])]
    return [estimate(one, speeds, Link(1e6, 0.02)) for one in (*sending, Candidate(len(work), None))]


def steps(path: Path) -> Iterator[tuple[float, int]]:
    """Seconds of each step and how much it found."""

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        begun = process_time()
        result = work()
        return process_time() - begun, result

    seconds, model = timed(lambda: open_onnx(path))
    graph: Graph = model.graph
    yield seconds, len(graph.operators)
    seconds, found = timed(lambda: legal_cuts(graph))
    yield seconds, len(found)
    seconds, useful = timed(lambda: useful_cuts(graph))
    yield seconds, len(useful)
    device_s = [operator.work / DEVICE_OPS for operator in graph.operators]
    cloud_s = [operator.work / CLOUD_OPS for operator in graph.operators]
    seconds, spans = timed(lambda: sweep(cut_problem(graph, device_s, cloud_s)))
    yield seconds, len(spans)
    seconds, _ = timed(lambda: Chooser(estimates(graph, useful), objective("latency"))(Link(2e6, 0.04)))
    yield seconds, len(useful) + 2


def measure(path: Path, rounds: int) -> dict[str, float]:
    """Median seconds per step, and what was found."""
    runs = [list(steps(path)) for _ in range(rounds)]
    found = {f"{step}_s": statistics.median(run[at][0] for run in runs) for at, step in enumerate(STEPS)}
    counts = {name: runs[0][at][1] for at, name in enumerate(("operators", "legal", "useful", "solutions"))}
    planning = ("read", "useful cuts", "solve", "choose")
    return {**counts, **found, "planning_s": sum(found[f"{step}_s"] for step in planning)}


def table(rows: dict[str, dict[str, float]]) -> str:
    """The results as a Markdown table; ``planning`` leaves out the list of legal cuts, which only people read."""
    heads = ("model", "operators", "legal cuts", *STEPS, "planning")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for name, row in rows.items():
        times = [f"{row[f'{step}_s'] * 1e3:.0f} ms" for step in (*STEPS, "planning")]
        lines.append(f"| {name} | {row['operators']} | {row['legal']} | {' | '.join(times)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        generated(path)
        rows["generated"] = measure(path, args.rounds)
        for name in ZOO:
            exported(name, path)
            rows[name] = measure(path, args.rounds)
    print(table(rows))
    print(f"\nprocessor seconds, median of {args.rounds}; {machine_line('onnx', 'scipy')}")
    if args.json:
        document = {"machine": machine_line("onnx", "scipy"), "models": rows}
        args.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
