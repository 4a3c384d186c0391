"""Frames per second of the pipeline against its slowest part, each part measured alone, on a shaped link.

Stages that take a set time, so that prefix, transfer and suffix are each the slowest once; the cloud and the link are
processes of their own. The bound is 1 / (slowest of prefix, transfer, suffix).

    python -m benchmarks.throughput [--frames N] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.chaos import Cloud, Link
from benchmarks.machine import machine_line
from partway.edge.decision.split_controller import SplitController
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.result import FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.edge.transport.client import CloudClient
from partway.engines.fake import fake_stage
from partway.engines.registry import engine_for
from partway.partitioner.decide.estimate import Candidate, Estimate
from partway.partitioner.decide.estimate import Link as Speed
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.plan.plan_file import save_plan
from partway.proto.tensors import TensorSpec

RATE, RTT = "20Mbps", "40ms"
FLOATS = {"x": 20_000, "a": 10_000, "b": 2_000, "y": 10}
STAGE_S = 0.01
WARM = 20
ALONE = 12


def plan_in(folder: Path) -> Plan:
    """x -> a -> b -> y, 80, 40, 8 KB between the stages, each of which takes STAGE_S."""
    specs = {name: TensorSpec(name, "float32", (None, size)) for name, size in FLOATS.items()}
    stages = []
    for index, (before, after) in enumerate(pairwise(specs.values())):
        body = fake_stage((before,), (after,), STAGE_S)
        (folder / f"stage{index}.json").write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        stages.append(Stage(f"stage{index}.json", digest, len(body), (before,), (after,), 1))
    cuts = tuple(Cut((name,)) for name in specs)
    plan = Plan("paced", "0" * 64, "fake", tuple(stages), cuts, specs, ("x",), ("y",))
    save_plan(plan, folder)
    return plan


def parts_alone(runner: Runner, sample: Sample, k: int, rtt_s: float) -> dict[str, float]:
    """Median seconds of the parts of frames that go one at a time."""
    found = list(runner.run([sample] * ALONE, lambda: Candidate(k, "raw")))[2:]

    def median(*parts: str) -> float:
        return statistics.median(sum(getattr(result, part) for part in parts) for result in found)

    return {
        "prefix_s": median("prefix_s", "encode_s"),
        "transfer_s": median("link_s") - rtt_s,
        "suffix_s": median("decode_s", "suffix_s"),
    }


def pipelined_fps(
    client: CloudClient, chain: Chain, sample: Sample, k: int, parts: dict[str, float], rtt_s: float, frames: int
) -> float:
    """Frames per second, the window adapting."""
    size = FLOATS["xaby"[k]] * 4 + 200
    candidate = Candidate(k, "raw", size, 200)
    split_estimate = Estimate(
        candidate, parts["prefix_s"], 0.0, parts["transfer_s"] + rtt_s, 0.0, 0.0, parts["suffix_s"]
    )
    link = Speed((size + 200) * 8 / parts["transfer_s"], rtt_s)
    controller = SplitController([split_estimate], candidate, objective("throughput"), chain.plan, link, free=False)
    runner = Runner(chain, Encoder(chain.plan), client.open_stream, window=64, watch=controller)
    stamps = []
    results: list[FrameResult] = []
    for result in runner.run([sample] * (frames + WARM), controller):
        stamps.append(perf_counter())
        results.append(result)
    runner.close()
    assert {result.answered_by for result in results} == {"cloud"}
    return frames / (stamps[-1] - stamps[WARM - 1])


def measure(frames: int) -> list[dict[str, Any]]:
    """One row a split."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plan = plan_in(folder)
        cloud = Cloud(folder)
        stack.callback(cloud.kill)
        link = Link(cloud.port, "--rate", RATE, "--rtt", RTT)
        stack.callback(link.close)
        client = stack.enter_context(CloudClient(link.address))
        chain = load_folder(folder, plan, engine_for("fake", 1))
        runner = Runner(chain, Encoder(plan), client.open_stream, window=1)
        stack.callback(runner.close)
        values = np.random.default_rng(0).standard_normal((1, FLOATS["x"])).astype(np.float32)
        sample = Sample("x", values={"x": values})
        empty = list(runner.run([sample] * ALONE, lambda: Candidate(len(plan.stages), "raw")))[2:]
        rtt_s = statistics.median(result.link_s for result in empty)
        rows = []
        for k in range(len(plan.stages)):
            parts = parts_alone(runner, sample, k, rtt_s)
            rate = pipelined_fps(client, chain, sample, k, parts, rtt_s, frames)
            rows.append({"split": k, **parts, "frames_per_s": rate, "share": rate * max(parts.values())})
        return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = ["| split | prefix | transfer | suffix | frames/s | of 1 / slowest |", "|" + " --- |" * 6]
    for row in rows:
        parts = [f"{row[part] * 1e3:.1f} ms" for part in ("prefix_s", "transfer_s", "suffix_s")]
        lines.append(f"| {row['split']} | {' | '.join(parts)} | {row['frames_per_s']:.1f} | {row['share']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = measure(args.frames)
    print(table(rows))
    print(f"\n{RATE}, {RTT} round trip; {machine_line('grpcio')}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
