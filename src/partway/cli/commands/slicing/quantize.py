"""``partway quantize``: int8 stages for the device, with their loss of agreement and their gain of speed."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.source import slice_arguments, sliced
from partway.errors import InputError, mapped

if TYPE_CHECKING:
    from partway.partitioner.calibrate.accuracy import CalibrationFrame
    from partway.partitioner.plan.chain import Chain
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

HELP = "make int8 stages for the device, and measure their loss of agreement"
MEASURE_S = 0.5


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway quantize``."""
    slice_arguments(parser)
    add = parser.add_argument
    add("--calibrate", type=Path, required=True, metavar="DIR|NPZ", help="real inputs: every other one sets ranges")
    add("--frames", type=int, default=128, metavar="N", help="use at most this many of them (default: 128)")
    add("--truth", type=Path, metavar="JSON", help="right classes, file name to number, to measure accuracy as well")
    add("--truth-offset", type=int, default=0, metavar="N", help="added to every class given")
    add("--threads", type=int, default=1, metavar="N", help="threads for measuring the times (default: 1)")
    add("--max-drop", type=float, default=1.0, metavar="PP", help="marks the splits within it (default: 1)")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Quantise, measure, write, print."""
    from partway.cli.show.plan import progress
    from partway.cli.show.quantized import show_quantized
    from partway.partitioner.calibrate.accuracy import in_sequence
    from partway.partitioner.calibrate.quantize import load_int8, quantized, twin_agreements, with_agreements
    from partway.partitioner.plan.plan_file import save_plan
    from partway.partitioner.profile.measure import measure

    chain, frames = _opened(args)
    frames = in_sequence(chain, frames)
    with progress("int8 stages", len(chain.plan.stages), quiet=args.json) as advance:
        plan = quantized(args.out, chain, frames[::2], lambda count: advance("int8 stages", count))
    twin = load_int8(args.out, plan, args.threads)
    rows = twin_agreements(chain, twin, frames[1::2])
    plan = with_agreements(plan, rows)
    save_plan(plan, args.out)
    float_s, int8_s = (measure(each, frames[0].values, MEASURE_S).stage_s for each in (chain, twin))
    show_quantized(args, plan, rows, float_s, int8_s)
    return 0


def _opened(args: argparse.Namespace) -> tuple[Chain, list[CalibrationFrame]]:
    """The float chain with its files in ``--out``: copied from a plan, or sliced from a model file."""
    from partway.engines.registry import engine_for
    from partway.partitioner.plan.chain import load_folder
    from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan
    from partway.partitioner.resolve import is_torch, is_zoo_name
    from partway.partitioner.zoo import model_folder

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


def _frames(args: argparse.Namespace, plan: Plan) -> list[CalibrationFrame]:
    from partway.partitioner.calibrate.inputs import read_frames
    from partway.partitioner.calibrate.quantize import LEAST_FRAMES

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
    from partway.partitioner.plan.plan_file import PLAN_FILE

    with mapped({OSError: InputError}, f"--out {out} cannot be written; give another folder"):
        if out.exists() and out.samefile(folder):
            raise InputError(f"--out {out} is the model's own folder; give another")
        out.mkdir(parents=True, exist_ok=True)
        (out / PLAN_FILE).unlink(missing_ok=True)  # the folder holds no plan until all files are copied
        for file in (file for stage in plan.stages for file in stage.files):
            shutil.copyfile(folder / file.file, out / file.file)
