"""Fit and judge what cuts are estimated by: bytes a value by operator and depth, seconds by arithmetic and traffic.

    python -m benchmarks.cut_prior --minilm MINILM.onnx [--exported DIR] [--data DIR]

Prints, of the models of benchmarks/cut_regret.py and the TFLite models, the median bits a value takes at each level by
kind and thirds of depth, how wrong ``partitioner/cuts/prior.py`` is on each model, and the rates that fit the measured
seconds of all operators best (each model weighs the same). The constants of ``prior.py`` and ``costs.py`` are these.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks.cut_regret import CASES, opened, photographed
from partway.engines.registry import engine_for
from partway.partitioner.cuts.costs import LEVELS, Costs, estimated_costs
from partway.partitioner.cuts.measured import measured_costs
from partway.partitioner.cuts.prior import kind_of
from partway.partitioner.graph.graph import Graph

TFLITE = ("tf2_mobilenet_v2_1.0_224_ptq.tflite", "pretrainedResnet.tflite", "pretrainedResnet_quant.tflite")


def elements(graph: Graph, name: str) -> float:
    """Of one value at batch 1."""
    return graph.size_bytes(name) / np.dtype(graph.values[name].dtype).itemsize


def depth(graph: Graph, name: str) -> float:
    """Which part of the operators comes before the value."""
    return graph.producers.get(name, 0) / len(graph.operators)


def bits(graph: Graph, costs: Costs, prior: Costs) -> Iterator[tuple[str, str, float, list[float]]]:
    """Every measured value: its kind, the operator that makes it, its depth, and its bits an element at each level."""
    for name in graph.activations:
        if name in graph.values and name in graph.producers and costs.coded[1][name] != prior.coded[1][name]:
            count = elements(graph, name)
            found = [8 * level[name] / count for level in costs.coded]
            yield kind_of(graph, name), graph.operators[graph.producers[name]].kind, depth(graph, name), found


def rates(rows: list[tuple[Graph, Costs]]) -> list[float]:
    """Seconds per multiply-add, byte and operator: least squares of all operators' shares of their models."""
    features, times = [], []
    for graph, costs in rows:
        total_s = sum(costs.operator_s)
        scale = 1 / np.sqrt(len(graph.operators))
        for at, operator in enumerate(graph.operators):
            if operator.work:
                weight = scale / max(costs.operator_s[at] / total_s, 1e-4) ** 0.5 / total_s
                features.append([operator.work * weight, graph.traffic_bytes(1 << at) * weight, weight])
                times.append(costs.operator_s[at] * weight)
    table = np.array(features)
    size = table.max(axis=0)
    found, _ = nnls(table / size, np.array(times))
    return list(found / size)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--exported", type=Path, required=True, help="a folder with the exported models")
    args = parser.parse_args()
    groups: dict[tuple[str, int], list[Any]] = defaultdict(list)
    by_operator: dict[str, list[Any]] = defaultdict(list)
    timed: list[tuple[Graph, Costs]] = []
    files = {name: args.data / "models" / str(case.file) for name, case in CASES.items()}
    files |= {name: args.exported / f"{name}.onnx" for name, case in CASES.items() if case.file is None}
    files |= {name: args.data / "tflite" / name for name in TFLITE} | {"minilm": args.minilm}
    for name, file in files.items():
        if file is None or not file.is_file():
            continue
        source, picture = opened(name, file)
        samples = photographed(source, picture, args.data / "imagenet")
        prior = estimated_costs(source.graph)
        costs = measured_costs(source, engine_for(source.engine), samples, "photographs")
        found = list(bits(source.graph, costs, prior))
        errors = [
            np.log2(prior.coded[level][value] / costs.coded[level][value])
            for value in source.graph.activations
            if value in source.graph.values and costs.coded[1][value] != prior.coded[1][value]
            for level in (1, 2, 3)
        ]
        middle, wide = (2 ** np.quantile(np.abs(errors), part) for part in (0.5, 0.9))
        print(
            f"{name}: {len(found)} values, prior off by a factor of {middle:.2f} (half), {wide:.2f} (nine in ten)",
            flush=True,
        )
        for kind, operator, place, row in found:
            groups[kind, min(2, int(place * 3))].append(row)
            by_operator[operator].append(row)
        if "operator by operator" in costs.times_from:
            timed.append((source.graph, costs))
    print("bits a value at", ", ".join(LEVELS))
    for title, rows in (("kind, third of depth", groups), ("operator", by_operator)):
        for key, some in sorted(rows.items(), key=str):
            print(f"{title} {key}: {np.median(some, axis=0).round(2).tolist()} of {len(some)}")
    work, traffic, each = rates(timed)
    print(f"multiply-adds/s {1 / max(work, 1e-15):.2e}, bytes/s {1 / max(traffic, 1e-15):.2e}, seconds each {each:.1e}")
    for graph, costs in timed:
        guess = np.array(
            [
                work * one.work + traffic * graph.traffic_bytes(1 << at) + each if one.work else 0.0
                for at, one in enumerate(graph.operators)
            ]
        )
        real = np.cumsum(costs.operator_s) / sum(costs.operator_s)
        off = np.abs(np.cumsum(guess) / guess.sum() - real).max()
        print(f"{len(graph.operators)} operators: share of time before a cut off by at most {off:.1%}")


if __name__ == "__main__":
    main()
