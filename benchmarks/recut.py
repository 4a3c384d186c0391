"""Measure a change of split and codec while frames flow: the gap at a change, and the device's memory.

Frames of the shipped model, or of a plan, through a real cloud; split and codec change every so many frames. The extra
gap is what the first answer after a change comes later than answers of the slower of the two candidates otherwise do.

    python -m benchmarks.recut [--model NAME|PLAN] [--frames N] [--every N] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from itertools import cycle, islice, pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.chaos import Cloud
from benchmarks.machine import machine_line
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import random_source
from partway.edge.transport.client import CloudClient
from partway.engines.registry import engine_for
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.proto.codecs.registry import packs

Kind = tuple[int, str | None]


def measure(model: str, frames: int, every: int, change: bool) -> dict[str, Any]:
    """Frames through a cloud with changes, or (``change`` False) all of them on the device, in this very process."""
    folder = model_folder(model)
    plan = load_plan(folder)
    with ExitStack() as stack:
        chain = load_folder(folder, plan, engine_for(plan.engine, 1))
        samples = list(islice(cycle([item.read() for item in random_source(plan, 16)]), frames))
        stages = len(plan.stages)
        if not change:
            for _ in Runner(chain, Encoder(plan)).run(samples, lambda: Candidate(stages, None)):
                pass
            return {"peak_bytes": peak_bytes()}
        cloud = Cloud(folder)
        stack.callback(cloud.kill)
        client = stack.enter_context(CloudClient(f"127.0.0.1:{cloud.port}"))
        runner = Runner(chain, Encoder(plan), client.open_stream)
        stack.callback(runner.close)
        names = ("raw", "fp16")
        kinds = [
            Candidate(k, codec)
            for codec in names
            for k in range(stages)
            if codec == "raw" or any(packs(codec, spec) for spec in plan.crossing(k))
        ]
        order = (candidate for candidate in cycle(kinds) for _ in range(every))
        gc.collect()
        gc.freeze()  # as edge-run does
        stamps, ids, used = [], [], []
        for result in runner.run(samples, lambda: next(order)):
            stamps.append(perf_counter())
            ids.append(result.id)
            used.append((result.cut, result.codec))
            assert result.answered_by == "cloud"
        return {**gaps(stamps, used, every), **counts(ids, frames), "peak_bytes": peak_bytes()}


def gaps(stamps: list[float], used: list[Kind], every: int) -> dict[str, Any]:
    """Percentiles of the extra gap at changes, and of the same figure where nothing changed."""
    between = [b - a for a, b in pairwise(stamps)]
    by: dict[Kind, list[float]] = defaultdict(list)
    for index, gap in enumerate(between, 1):
        if index % every:
            by[used[index]].append(gap)
    median = {kind: statistics.median(values) for kind, values in by.items()}
    extra: dict[bool, list[float]] = {True: [], False: []}
    for index, gap in enumerate(between, 1):
        if index % every in (0, every // 2):
            extra[index % every == 0].append(gap - max(median[used[index]], median[used[index - 1]]))
    changes = {f"extra_p{q}_s": float(np.percentile(extra[True], q)) for q in (50, 99)}
    return {"changes": len(extra[True]), **changes, "else_p99_s": float(np.percentile(extra[False], 99))}


def counts(ids: list[int], frames: int) -> dict[str, int]:
    """The numbers of lost, doubled and out-of-order frames."""
    disorder = sum(a > b for a, b in pairwise(ids))
    return {"frames": frames, "lost": frames - len(set(ids)), "twice": len(ids) - len(set(ids)), "disorder": disorder}


def peak_bytes() -> int:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure and print; each measurement in a process of its own, for its memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--only", choices=("change", "whole"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.model, args.frames, args.every, args.only == "change")))
        return
    measured = []
    for only in ("change", "whole"):
        options = ["--model", args.model, "--frames", str(args.frames), "--every", str(args.every), "--only", only]
        command = [sys.executable, "-m", "benchmarks.recut", *options]
        measured.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    changed, unchanged = measured
    changed["memory_ratio"] = changed["peak_bytes"] / unchanged["peak_bytes"]
    for key, value in changed.items():
        print(f"{key:>14}  {value * 1e3:.3f} ms" if key.endswith("_s") else f"{key:>14}  {value}")
    print(f"\n{machine_line('onnxruntime', 'grpcio')}")
    if args.json:
        args.json.write_text(json.dumps(changed, indent=1) + "\n")


if __name__ == "__main__":
    main()
