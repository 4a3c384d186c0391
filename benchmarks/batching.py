"""Measure batching: devices at mixed cuts, with batches across cuts, per cut, and without batches.

Every device takes turns at the cuts and sends its next frame when the last is answered, straight to the batcher (no
sockets, so that gRPC in Python is not measured): decode, queue, suffix, encode. Two more rows measure a lone device,
with the batcher and with a plain thread.

    python -m benchmarks.batching [MODELS] [--engine NAME] [--devices N] [--seconds S] [--max-batch N] [--json FILE]

MODELS is a plan's folder; without one, AlexNet and ResNet-18 of torchvision with random weights are sliced first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.machine import machine_line
from partway.cloud.answer import FrameRefused, Router, answer
from partway.cloud.batching.scheduler import BatchLimits, Mode
from partway.cloud.batching.worker import Batcher
from partway.cloud.models.repository import ServedModel, load_model
from partway.partitioner.plan.plan_file import save_plan
from partway.partitioner.profile.measure import sample_values
from partway.partitioner.slicing import make_plan
from partway.proto.codecs.packing import pack
from partway.proto.codecs.registry import RAW
from partway.proto.frame import Frame, Reply
from partway.proto.header import Header
from partway.units import show_s

MODELS = ("alexnet", "resnet18")
WARM = 0.3
"""Share of the time before frames are counted, in which the batch sizes are learned."""
Send = Callable[[Frame, object], Awaitable[Reply]]


@dataclass(frozen=True)
class Measured:
    """One run. ``batch`` is the mean of frames per batch, ``merged`` the share of batches with frames of several cuts.

    ``error`` is the largest difference from the unsplit model's answers, over their largest value.
    """

    model: str
    engine: str
    mode: str
    devices: int
    frames_per_s: float
    p50_s: float
    p99_s: float
    batch: float
    merged: float
    error: float


@lru_cache(maxsize=8)
def loaded(folder: Path, engine: str, threads: int = 0) -> ServedModel:
    """The model of a plan's folder, as a cloud loads it."""
    return load_model(folder, threads, engine)


def simulate(
    models_folder: Path, engine: str, devices: int, seconds: float, mode: str, max_batch: int = 16, threads: int = 0
) -> Measured:
    """So many devices at mixed cuts for so long, closed loop. ``mode`` is across, per-cut or none."""
    model = loaded(models_folder, engine, threads)
    return asyncio.run(
        _simulated(model, engine, devices, seconds, BatchLimits(Mode(mode), max_batch, max_queue=2 * devices))
    )


async def _simulated(model: ServedModel, engine: str, devices: int, seconds: float, limits: BatchLimits) -> Measured:
    batcher = Batcher({model.plan.model: model}, limits)
    router = Router({model.plan.model: model})

    async def send(frame: Frame, device: object) -> Reply:
        return await batcher.submit(router.route(frame.header), frame, perf_counter(), device, or_raise)

    try:
        taken, error = await _closed_loops(model, devices, seconds, send)
    finally:
        await asyncio.to_thread(batcher.close)
    stats = batcher.stats
    batches = stats.batches.total()
    frames = sum(size * count for (*_, size), count in stats.sizes.items())
    return _measured(
        model, engine, limits.mode, taken, error, seconds, frames / batches, stats.merged.total() / batches
    )


def lone(models_folder: Path, engine: str, seconds: float, batched: bool, threads: int = 0) -> Measured:
    """One device: through the batcher, or by a thread that answers one frame after another."""
    model = loaded(models_folder, engine, threads)
    if batched:
        return asyncio.run(_simulated(model, engine, 1, seconds, BatchLimits()))
    return asyncio.run(_plain(model, engine, seconds))


async def _plain(model: ServedModel, engine: str, seconds: float) -> Measured:
    router = Router({model.plan.model: model})
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()

        async def send(frame: Frame, _: object) -> Reply:
            return await loop.run_in_executor(pool, partial(answer, router.route(frame.header), frame, perf_counter()))

        taken, error = await _closed_loops(model, 1, seconds, send)
    return _measured(model, engine, "a plain thread", taken, error, seconds, 1.0, 0.0)


def or_raise(reply: Reply | FrameRefused) -> Reply:
    """The answer."""
    if isinstance(reply, FrameRefused):
        raise reply
    return reply


async def _closed_loops(
    model: ServedModel, devices: int, seconds: float, send: Send
) -> tuple[list[list[float]], float]:
    """Seconds of every frame after the warm-up, by device, and the largest error."""
    frames = [_frame(model, k, k) for k in range(len(model.plan.stages))]
    begun_s = perf_counter()

    async def device(index: int) -> tuple[list[float], float]:
        taken: list[float] = []
        error, turn = 0.0, index
        while (sent_s := perf_counter()) < begun_s + seconds:
            turn += 1
            frame, expected = frames[turn % len(frames)]
            reply = await send(frame, index)
            if sent_s >= begun_s + WARM * seconds:
                taken.append(perf_counter() - sent_s)
            error = max(error, _error(reply, expected)) if len(taken) < 3 else error
        return taken, error

    done = await asyncio.gather(*(device(index) for index in range(devices)))
    return [taken for taken, _ in done], max(error for _, error in done)


def _frame(model: ServedModel, k: int, seed: int) -> tuple[Frame, dict[str, np.ndarray[Any, Any]]]:
    """A raw frame of cut k, and the unsplit model's answer."""
    values = sample_values(model.chain, seed)
    live = model.chain.run(values, 0, k)
    expected = model.chain.answer(model.chain.run(live, k, len(model.plan.stages)))
    packed = [pack(RAW, spec.name, np.asarray(live[spec.name])) for spec in model.plan.crossing(k)]
    header = Header(model.plan.model, (("partway.cut", k),), tuple(head for head, _ in packed))
    return Frame(header, str(seed), tuple(data for _, data in packed)), expected


def _error(reply: Reply, expected: dict[str, np.ndarray[Any, Any]]) -> float:
    worst = 0.0
    for head, data in zip(reply.frame.header.tensors, reply.frame.raw, strict=True):
        exact = np.asarray(expected[head.name])
        found = np.frombuffer(data, exact.dtype).reshape(exact.shape)
        worst = max(worst, float(np.abs(found - exact).max() / (np.abs(exact).max() or 1.0)))
    return worst


def _measured(
    model: ServedModel,
    engine: str,
    mode: str,
    by_device: list[list[float]],
    error: float,
    seconds: float,
    batch: float,
    merged: float,
) -> Measured:
    taken = [one for device in by_device for one in device] or [float("nan")]
    rate = len(taken) / (seconds * (1 - WARM))
    p99_s = float(np.percentile(taken, 99))
    p50_s = statistics.median(taken)
    return Measured(model.plan.model, engine, mode, len(by_device), rate, p50_s, p99_s, batch, merged, error)


def table(rows: list[Measured]) -> str:
    """The results as a Markdown table."""
    heads = ("model", "devices", "batching", "frames/s", "p50", "p99", "frames a batch", "merged", "largest error")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [row.model, str(row.devices), row.mode, f"{row.frames_per_s:.1f}", show_s(row.p50_s), show_s(row.p99_s)]
        lines.append(f"| {' | '.join([*cells, f'{row.batch:.1f}', f'{row.merged:.0%}', f'{row.error:.1e}'])} |")
    return "\n".join(lines)


def folders(plans: list[Path], into: Path) -> list[Path]:
    """The plans to measure."""
    if plans:
        return plans
    from benchmarks.models import export

    exported = []
    for name in MODELS:
        save_plan(make_plan(export(name, into), into / name, name=name), into / name)
        exported.append(into / name)
    return exported


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--devices", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[Measured] = []
    with tempfile.TemporaryDirectory() as into:
        for folder in folders(args.models, Path(into)):
            for mode in Mode:
                common = (folder, args.engine, args.devices, args.seconds, mode, args.max_batch, args.threads)
                rows.append(simulate(*common))
            rows += [lone(folder, args.engine, args.seconds / 2, batched, args.threads) for batched in (True, False)]
    print(table(rows))
    print(f"\nclosed loop, {machine_line('onnxruntime', 'numpy')}")
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
