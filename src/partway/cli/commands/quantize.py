"""``partway quantize``: int8 stages for the device, with what they cost the answer and what they gain."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from partway.cli.commands.plan import slice_arguments, sliced
from partway.engines.registry import engine_for
from partway.errors import InputError, mapped
from partway.partitioner.calibrate.accuracy import Frame
from partway.partitioner.calibrate.inputs import read_frames
from partway.partitioner.calibrate.quantize import (
    INT8,
    LEAST_FRAMES,
    Kept,
    kept,
    load_int8,
    quantised,
    with_agreements,
)
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan import PLAN_FILE, Plan, load_plan, save_plan
from partway.partitioner.profile.measure import measure
from partway.partitioner.resolve import is_torch, is_zoo_name
from partway.partitioner.zoo import model_folder
from partway.units import show_bytes, show_s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway quantize``."""
    slice_arguments(parser)
    add = parser.add_argument
    add("--calibrate", type=Path, required=True, metavar="DIR|NPZ", help="real inputs: every other one sets ranges")
    add("--frames", type=int, default=128, metavar="N", help="of them, at most this many (default: 128)")
    add("--truth", type=Path, metavar="JSON", help="right classes, file name to number, to measure accuracy as well")
    add("--truth-offset", type=int, default=0, metavar="N", help="added to every class given")
    add("--threads", type=int, default=1, metavar="N", help="for the times (default: 1)")
    add("--max-drop", type=float, default=1.0, metavar="PP", help="marks the splits within it (default: 1)")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Quantise, measure, write, print."""
    chain, frames = _opened(args)
    plan = chain.plan
    with Progress(transient=True, disable=args.json or not Console().is_terminal) as progress:
        task = progress.add_task("int8 stages", total=len(plan.stages))
        seen = frames[::2]
        made = quantised(args.out, chain, seen, lambda count: progress.update(task, completed=count))
    twin = load_int8(args.out, made, args.threads)
    rows = kept(chain, twin, frames[1::2])
    made = with_agreements(made, rows)
    save_plan(made, args.out)
    _show(args, made, rows, _times(chain, twin, frames[0]))
    return 0


def _opened(args: argparse.Namespace) -> tuple[Chain, list[Frame]]:
    """The float chain, its files in ``--out``: a plan's are copied there, a model file is sliced into it."""
    file = Path(args.model)
    if is_torch(args.model) or is_zoo_name(args.model) or (file.is_file() and file.name != PLAN_FILE):
        plan, _, _ = sliced(args)
        frames = _frames(args, plan)
    else:
        folder = model_folder(args.model)
        plan = load_plan(folder)
        frames = _frames(args, plan)
        _copy(folder, plan, args.out)
    return load_folder(args.out, plan, engine_for(plan.engine, args.threads)), frames


def _frames(args: argparse.Namespace, plan: Plan) -> list[Frame]:
    if args.frames < 2 * LEAST_FRAMES:
        raise InputError(f"--frames must be {2 * LEAST_FRAMES} or more, not {args.frames}")
    frames = read_frames(args.calibrate, plan, args.frames, args.truth, args.truth_offset)
    if len(frames) < 2 * LEAST_FRAMES:
        raise InputError(
            f"{args.calibrate} holds {len(frames)} inputs; quantize needs {2 * LEAST_FRAMES} or more, half to set"
            " ranges and half to measure what they cost"
        )
    return frames


def _copy(folder: Path, plan: Plan, out: Path) -> None:
    with mapped({OSError: InputError}, f"--out {out} cannot be written; give another folder"):
        if out.exists() and out.samefile(folder):
            raise InputError(f"--out {out} is the model's own folder; give another")
        out.mkdir(parents=True, exist_ok=True)
        (out / PLAN_FILE).unlink(missing_ok=True)  # until all is there, there is no plan
        for file in (file for stage in plan.stages for file in stage.files):
            shutil.copyfile(folder / file.file, out / file.file)


def _times(chain: Chain, twin: Chain, frame: Frame) -> tuple[Sequence[float], Sequence[float]]:
    """Seconds of every stage, float and int8, one after the other in one run."""
    return tuple(measure(each, frame.values, 0.5).stage_s for each in (chain, twin))  # type: ignore[return-value]


def _show(
    args: argparse.Namespace, plan: Plan, rows: Sequence[Kept], times: tuple[Sequence[float], Sequence[float]]
) -> None:
    float_s, int8_s = times
    sizes = [(stage.size_bytes, stage.twins[INT8].size_bytes) for stage in plan.stages]
    if args.json:
        told: dict[str, Any] = {
            "model": plan.model,
            "plan": plan.digest,
            "splits": [asdict(row) for row in rows],
            "stages": [
                {"float_bytes": a, "int8_bytes": b, "float_s": c, "int8_s": d}
                for (a, b), c, d in zip(sizes, float_s, int8_s, strict=True)
            ],
        }
        print(json.dumps(told))
        return
    table = Table(title=f"{plan.model}: int8 on the device, float after it", title_justify="left")
    for column in ("split", "at", "prefix, float", "int8", "time", "int8", "equal", "right", "error", "admitted"):
        table.add_column(column)
    for row in rows:
        k, least = row.k, 1 - args.max_drop / 100
        before, after = (show_bytes(sum(size[side] for size in sizes[:k])) for side in (0, 1))
        admitted = k == 0 or (row.agreement is not None and row.agreement >= least - 1e-9)
        table.add_row(
            *(str(k), str(plan.cuts[k]), before, after, show_s(sum(float_s[:k])), show_s(sum(int8_s[:k]))),
            *(_share(row.agreement), _share(row.accuracy), f"{row.relative_error:.2g}", "yes" if admitted else ""),
        )
    console = Console(highlight=False, width=None if Console().is_terminal else 120)
    console.print(table)
    console.print(f"measured on {rows[0].frames} inputs that set no ranges")
    console.print(f"on the device: edge-run --model {args.out} --engine {INT8}", soft_wrap=True)


def _share(number: float | None) -> str:
    return "-" if number is None else f"{number:.1%}"


VERB = ("int8 stages for the device, and what they cost the answer", add_arguments, run)
