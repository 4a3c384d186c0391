"""The torch engine on a GPU: parity, latency against the floor, throughput of many devices, copies. No network.

    python -m benchmarks.gpu --prepare DIR [--models NAME …]      once, anywhere: export and slice (random weights)
    python -m benchmarks.gpu DIR [--device cuda:0] [--precision fp32] [--pictures DIR] [--json FILE]
    python -m benchmarks.gpu DIR --device cpu --parity            only that, anywhere
    python -m benchmarks.gpu --device cpu --small                 the digit model on the processor: the same code

parity: prefix on ONNX Runtime (CPU), suffix on torch, at every useful cut, against ONNX Runtime alone: the largest
difference over the largest number, and whether the top class is the same, on photographs (``--pictures``) or noise.
latency: the suffix of the first cut, arrays in and arrays out (``run``) and on tensors that are on the device already
(``resident``), against a bare replay of one CUDA graph of the same module (``floor``) and the module run eagerly.
throughput: devices at mixed cuts through the batcher; ``eager`` is one request at a time without graphs.
copies: an input batch to the device through the engine's ring, against a plain copy from pinned memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.batching import loaded, simulate
from benchmarks.machine import machine_line
from partway.cloud.models.placement import Computing
from partway.engines.device import Chosen
from partway.engines.interface import Engine
from partway.engines.registry import engine_for
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.parity import relative_error
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan
from partway.partitioner.profile.measure import sample_values
from partway.partitioner.zoo import model_folder

BATCHES = (1, 2, 4, 8, 16, 32, 64)
PICTURES = 4
Array = np.ndarray[Any, Any]


def prepare(folder: Path, names: Sequence[str]) -> None:
    """Export zoo models (random weights) and slice them at their useful cuts. Needs the exporter, no GPU."""
    from benchmarks.models import export
    from partway.partitioner.cuts.chain import useful_cuts
    from partway.partitioner.plan.plan_file import save_plan
    from partway.partitioner.slicing import open_model, plan_model
    from partway.partitioner.zoo.catalogue import ZOO

    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        source = open_model(export(name, folder))
        plan = plan_model(source, useful_cuts(source.graph), folder / name, name)
        save_plan(replace(plan, input=ZOO[name].preprocess().to_json()), folder / name)
        (folder / f"{name}.onnx").unlink()
        print(f"{name}: {len(plan.stages)} stages", flush=True)


def inputs(chain: Chain, pictures: Sequence[Path]) -> list[dict[str, Array]]:
    """Photographs as the model wants them, or noise."""
    preprocess = chain.plan.preprocess
    if not pictures or preprocess is None:
        return [dict(sample_values(chain, seed)) for seed in range(PICTURES)]
    from PIL import Image

    found = []
    for picture in pictures:
        with Image.open(picture) as opened:
            found.append({preprocess.value: preprocess.tensor(preprocess.pixels(opened))})
    return found


def parity(reference: Chain, chain: Chain, pictures: Sequence[Path]) -> list[dict[str, Any]]:
    """One row a split."""
    last, rows = len(chain.stages), []
    samples = inputs(reference, pictures)
    expected = [reference.answer(reference.run(values, 0, last)) for values in samples]
    for k in range(last):
        error, same = 0.0, True
        for values, want in zip(samples, expected, strict=True):
            answer = chain.answer(chain.run(reference.run(values, 0, k), k, last))
            error = max(error, *(relative_error(want[name], answer[name]) for name in want))
            same &= all(np.array_equal(want[name].argmax(-1), answer[name].argmax(-1)) for name in want)
        rows.append({"split": k, "cut": str(chain.plan.cuts[k]), "error": error, "same_top": same})
    return rows


def seconds(work: Callable[[], object], finish: Callable[[], None], budget_s: float) -> float:
    """Median seconds of one run, after a few to warm up."""
    for _ in range(3):
        work()
    finish()
    taken: list[float] = []
    begun_s = perf_counter()
    while len(taken) < 5 or perf_counter() - begun_s < budget_s:
        start_s = perf_counter()
        work()
        finish()
        taken.append(perf_counter() - start_s)
    return statistics.median(taken)


def latency(reference: Chain, chain: Chain, batches: Sequence[int], budget_s: float) -> list[dict[str, Any]]:
    """One row a batch: the suffix from split 1, every way."""
    import torch

    last, k = len(chain.stages), min(1, len(chain.stages) - 1)
    one = reference.run(sample_values(reference), 0, k)
    stage: Any = chain._as_one(k, last)
    program, place = stage.runner.program, stage.runner.device
    finish: Callable[[], None] = torch.cuda.synchronize if place.torch.type == "cuda" else lambda: None
    rows = []
    for batch in batches:
        values = {spec.name: np.repeat(one[spec.name], batch, axis=0) for spec in stage.inputs}
        held = {name: torch.from_numpy(array).to(place.torch) for name, array in values.items()}
        native = [held[spec.name].to(program.native(spec)) for spec in stage.inputs]

        def eager(tensors: Sequence[Any] = native) -> object:
            return program.module(*tensors)

        with place.working(), torch.inference_mode():
            floor = _replay(place, eager)
            row = {"floor_s": seconds(floor, finish, budget_s), "eager_s": seconds(eager, finish, budget_s)}
        row["resident_s"] = seconds(lambda: stage.advance(held), finish, budget_s)  # noqa: B023 - run at once
        row["run_s"] = seconds(lambda: stage.run(values), finish, budget_s)  # noqa: B023 - run at once
        rows.append({"split": k, "batch": batch, **row, "over_floor": row["resident_s"] / row["floor_s"]})
    return rows


def _replay(place: Any, work: Callable[[], object]) -> Callable[[], object]:
    """A bare replay of the captured work; on the processor the work itself."""
    replay: Callable[[], object] = place.capture(work)[0] if place.torch.type == "cuda" else work
    return replay


def throughput(
    folder: Path, computing: Computing, devices: int, budget_s: float, graphless: Computing
) -> list[dict[str, Any]]:
    """Frames per second of simulated devices at mixed cuts."""
    rows = []
    for label, how, mode in (
        ("across cuts", computing, "across"),
        ("per cut", computing, "per-cut"),
        ("none", computing, "none"),
        ("eager", graphless, "none"),
    ):
        found: Any = simulate(folder, how, devices, budget_s, mode, max_batch=64)  # type: ignore[arg-type]
        row = asdict(replace(found, engine="torch"))
        rows.append({**row, "mode": label})
        loaded.cache_clear()
    return rows


def copies(engine: Engine, size: int, budget_s: float) -> dict[str, Any] | None:
    """Bytes per second to the device, by the ring and by a plain pinned copy; None on the processor."""
    import torch

    place: Any = engine._place  # type: ignore[attr-defined]
    if place.torch.type != "cuda":
        return None
    array = np.zeros(size, np.uint8)
    pinned, target = (
        torch.empty(size, dtype=torch.uint8, pin_memory=True),
        torch.empty(size, dtype=torch.uint8, device=place.torch),
    )

    def ring() -> None:
        with place.working():
            place.upload([array])

    plain_s = seconds(lambda: target.copy_(pinned, non_blocking=True), torch.cuda.synchronize, budget_s)
    ring_s = seconds(ring, torch.cuda.synchronize, budget_s)
    return {"size_bytes": size, "plain_bytes_per_s": size / plain_s, "ring_bytes_per_s": size / ring_s}


def measure(folder: Path, args: argparse.Namespace, pictures: Sequence[Path]) -> dict[str, Any]:
    """Everything about one model."""
    plan = load_plan(folder)
    options = {"precision": args.precision, "tf32": args.tf32}
    engine = engine_for("torch", 0, args.device, **options)
    reference = load_folder(folder, plan, engine_for("onnx"))
    chain = load_folder(folder, plan, engine)
    small = args.small
    rows: dict[str, Any] = {"model": plan.model, "parity": parity(reference, chain, pictures)}
    if args.parity or not plan.batches or len(plan.stages) == 1:
        return rows
    rows["latency"] = latency(reference, chain, BATCHES[:3] if small else BATCHES, 0.02 if small else 0.5)
    chosen = Chosen(args.device, "torch", "benchmark")
    computing, graphless = (Computing("torch", chosen, {**options, "graphs": graphs}) for graphs in (True, False))
    rows["throughput"] = throughput(folder, computing, args.devices, 0.2 if small else 5.0, graphless)
    rows["copies"] = copies(engine, 64 * plan.crossing(0)[0].size_bytes(), 0.02 if small else 0.5)
    return rows


def table(found: Mapping[str, Any]) -> str:
    """The results as Markdown tables."""
    lines = [f"{found['device']}; {found['machine']}; {found['precision']}", ""]
    lines += ["| model | splits | largest error | same top | at 16: floor | resident | run | eager | over floor |"]
    lines += ["|" + " --- |" * 9]
    for row in found["models"]:
        error, same = max(r["error"] for r in row["parity"]), all(r["same_top"] for r in row["parity"])
        cells = [row["model"], str(len(row["parity"])), f"{error:.1e}", "yes" if same else "NO"]
        timed = [r for r in row.get("latency", []) if r["batch"] <= 16][-1:]
        for r in timed:
            cells += [f"{r[key] * 1e3:.2f} ms" for key in ("floor_s", "resident_s", "run_s", "eager_s")]
            cells += [f"{r['over_floor']:.2f} × (batch {r['batch']})"]
        lines.append(f"| {' | '.join(cells + ['–'] * (9 - len(cells)))} |")
    lines += ["", "| model | batching | frames/s | p50 | batch |", "|" + " --- |" * 5]
    for row in found["models"]:
        for r in row.get("throughput", []):
            cells = [
                row["model"],
                r["mode"],
                f"{r['frames_per_s']:.0f}",
                f"{r['p50_s'] * 1e3:.1f} ms",
                f"{r['batch']:.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prepare, or measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="what --prepare made")
    add("--prepare", type=Path, metavar="DIR")
    add("--models", nargs="*", help="of the zoo (default: all)")
    add("--device", default="cuda:0")
    add("--precision", default="fp32", choices=("fp32", "fp16", "bf16"))
    add("--tf32", action="store_true")
    add("--pictures", type=Path, metavar="DIR", help="photographs (.jpg, .JPEG, .png)")
    add("--devices", type=int, default=64)
    add("--parity", action="store_true", help="nothing but parity, which needs no quiet machine")
    add("--small", action="store_true", help="the shipped digit model only, briefly")
    add("--json", type=Path)
    args = parser.parse_args()
    if args.prepare is not None:
        from partway.partitioner.zoo.catalogue import ZOO

        prepare(args.prepare, args.models or list(ZOO))
        return
    if args.folder is None and not args.small:
        parser.error("give the folder that --prepare made, or --small")
    device = "cpu"
    if args.device != "cpu":
        from partway.engines.device import choose_device

        chosen = choose_device(args.device, "torch")
        args.device, device = chosen.device, chosen.why
    folders = [model_folder("mnist")] if args.small else sorted(p.parent for p in args.folder.glob(f"*/{PLAN_FILE}"))
    if args.models:
        folders = [folder for folder in folders if folder.name in args.models]
    files = (
        sorted(p for p in args.pictures.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if args.pictures
        else []
    )
    pictures = files[:: max(1, len(files) // PICTURES)][:PICTURES]
    machine = machine_line("torch", "onnxruntime")
    rows = [measure(folder, args, pictures) for folder in folders]
    found = {"device": device, "machine": machine, "precision": args.precision, "tf32": args.tf32, "models": rows}
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
