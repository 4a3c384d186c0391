"""Two hundred thousand frames through one device process: memory, threads and descriptors before and after.

The cloud is killed and comes back a few times on the way.

    python -m benchmarks.soak [--frames N] [--losses N] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import threading
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from benchmarks.chaos import Cloud
from benchmarks.machine import machine_line
from partway.edge.decision.split_controller import SplitController
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import random_source
from partway.edge.transport.client import CloudClient
from partway.edge.transport.failover import KnownClouds
from partway.engines.registry import engine_for
from partway.partitioner.decide.estimate import Candidate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

WARM = 0.2
"""Share of the frames before memory is first read: caches and pools are full and a loss has happened by then."""
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def resident_bytes() -> int:
    """Memory of this process now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def measure(frames: int, losses: int) -> dict[str, Any]:
    """The soak."""
    folder = model_folder("mnist")
    plan = load_plan(folder)
    before = {"threads": threading.active_count()}
    before_fds = 0
    with ExitStack() as stack:
        cloud = Cloud()
        stack.callback(lambda: cloud.kill())  # noqa: PLW0108 - the process it has then
        for lap in range(2):  # gRPC keeps what it opened first for the process's life: the second lap counts
            with ExitStack() as inner:
                found = _lap(inner, cloud, plan, folder, frames if lap else frames // 50, losses if lap else 0)
            sleep(0.5)
            if not lap:
                before, before_fds = {"threads": threading.active_count()}, descriptors()
        found["threads_left"] = threading.active_count() - before["threads"]
        found["descriptors_left"] = descriptors() - before_fds
        return found


def _lap(stack: ExitStack, cloud: Cloud, plan: Any, folder: Path, frames: int, losses: int) -> dict[str, Any]:
    chain = load_folder(folder, plan, engine_for(plan.engine, 1))
    client = stack.enter_context(CloudClient(f"127.0.0.1:{cloud.port}"))
    split, home, link = Candidate(1, "raw", 2600, 200), Candidate(len(plan.stages), None), Link(1e9, 3e-4)
    estimates = [estimate(candidate, Speeds((4e-5,) * 3, (4e-5,) * 3), link) for candidate in (split, home)]
    controller = SplitController(
        estimates, split, objective("throughput"), plan, link, free=False, waiting=lambda: True
    )
    clouds = KnownClouds(client, [], plan)
    clouds.watch(controller, link)
    stack.callback(clouds.close)
    runner = Runner(chain, Encoder(plan), clouds=clouds, window=8, watch=controller)
    stack.callback(runner.close)
    samples = islice(cycle([item.read() for item in random_source(plan, 16)]), frames)
    begun_s, at_warm, by_cloud, count = perf_counter(), 0, 0, 0
    every = frames // (losses + 1) if losses else frames + 1
    for count, result in enumerate(runner.run(samples, controller), 1):
        by_cloud += result.answered_by == "cloud"
        assert result.id == count - 1
        if count % every == every // 10 and losses:
            cloud.kill()
            cloud.start()
        if count == int(frames * WARM):
            at_warm = resident_bytes()
    at_end = resident_bytes()
    return {
        "frames": count,
        "by_cloud": by_cloud,
        "changes": len(controller.changes),
        "seconds": perf_counter() - begun_s,
        "warm_bytes": at_warm,
        "end_bytes": at_end,
        "growth": at_end / max(at_warm, 1) - 1,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = measure(args.frames, args.losses)
    for key, value in found.items():
        print(f"{key:>16}  {value:.3%}" if key == "growth" else f"{key:>16}  {value:,.6g}")
    print(f"\n{machine_line('grpcio', 'onnxruntime')}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
