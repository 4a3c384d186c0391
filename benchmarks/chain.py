"""Measure the cost of the chain: the stages in sequence against the unsplit model, alternating in one process.

Cuts are the plan's own useful ones; a model that has none is named and left out. ONNX models are torchvision's
architectures with random weights; TFLite models are the same by litert-torch, where the extra ``convert`` is
installed, and the files of a folder. A round times the whole and the chain once each, the order changing from round
to round; the figure is the median over rounds of chain / whole.

    python -m benchmarks.chain [--tflite DIR] [--rounds N] [--threads N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from benchmarks.machine import machine_line
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import load_chain
from partway.partitioner.plan.plan_file import read_stage
from partway.partitioner.profile.measure import sample_values
from partway.partitioner.slicing import make_plan
from partway.partitioner.zoo.networks import import_torchvision

ARCHITECTURES = ("mobilenet_v2", "resnet18", "squeezenet1_1", "shufflenet_v2_x1_0", "alexnet")
SIDE = 224
WARM = 5
LEAST_S = 2e-3
"""One timing covers at least this long, so that the clock's resolution does not matter."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model. Seconds are medians of one inference; ``ratio`` is the median of the rounds' own ratios."""

    model: str
    engine: str
    stages: int
    whole_s: float
    chain_s: float
    ratio: float


def exported(folder: Path) -> Iterator[Path]:
    """Torchvision's architectures with random weights as ONNX files, and as TFLite files where that can be had."""
    import torch

    converts = find_spec("litert_torch") is not None
    for name in ARCHITECTURES:
        torch.manual_seed(0)
        network = getattr(import_torchvision().models, name)(weights=None).eval()
        path = folder / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (torch.zeros(1, 3, SIDE, SIDE),), path, dynamo=False, opset_version=17)
        yield path
        if converts:
            import litert_torch

            litert_torch.convert(network, (torch.zeros(1, 3, SIDE, SIDE),)).export(str(path.with_suffix(".tflite")))
            yield path.with_suffix(".tflite")


def compared(model: Path, folder: Path, rounds: int, threads: int) -> Row | None:
    """Slice and time; None for a model without a useful cut."""
    plan = make_plan(model, folder)
    if len(plan.stages) == 1:
        return None
    engine = engine_for(plan.engine, threads)
    chain = load_chain(plan, engine, lambda stage: read_stage(folder, stage))
    unsplit, values = engine.load(model.read_bytes()), sample_values(chain)
    ways: list[Callable[[], object]] = [lambda: unsplit.run(values), lambda: chain.run(values, 0, len(plan.stages))]
    times = max(1, round(LEAST_S / min(_seconds(way, WARM) for way in ways)))
    found: list[list[float]] = [[], []]
    for index in range(rounds):
        for way in (0, 1) if index % 2 else (1, 0):
            found[way].append(_seconds(ways[way], times))
    ratio = statistics.median(b / a for a, b in zip(*found, strict=True))
    medians = [statistics.median(seconds) for seconds in found]
    return Row(model.stem, plan.engine, len(plan.stages), medians[0], medians[1], ratio)


def _seconds(work: Callable[[], object], times: int) -> float:
    begun_s = perf_counter()
    for _ in range(times):
        work()
    return (perf_counter() - begun_s) / times


def table(rows: list[Row]) -> str:
    """The README's table."""
    heads = ("model", "engine", "stages", "whole", "chain", "chain / whole")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [row.model, row.engine, str(row.stages), f"{row.whole_s * 1e3:.2f} ms", f"{row.chain_s * 1e3:.2f} ms"]
        lines.append(f"| {' | '.join([*cells, f'{row.ratio:.3f} ×'])} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tflite", type=Path, help="folder of .tflite files")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(args.tflite.glob("*.tflite")) if args.tflite else []
        for index, model in enumerate([*files, *exported(Path(folder))]):
            out = Path(folder, str(index))
            out.mkdir()
            row = compared(model, out, args.rounds, args.threads)
            rows += [row] if row else []
            print(table([row]).splitlines()[-1] if row else f"{model.name}: no useful cut", flush=True)
    median = statistics.median(row.ratio for row in rows)
    print(f"\n{table(rows)}\n\nmedian of {len(rows)}: {median:.3f} × ({args.rounds} rounds, {args.threads} threads)")
    print(machine_line("onnxruntime", "ai-edge-litert"))
    if args.json:
        found = {"median": median, "rounds": args.rounds, "threads": args.threads, "models": [asdict(r) for r in rows]}
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
