"""``partway quantize``: int8 stages for the device, with their loss of agreement and their gain of speed."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.source import plan_folder, slice_arguments, sliced, warn_of_doubt
from partway.errors import InputError, mapped

if TYPE_CHECKING:
    from partway.partitioner.calibrate.accuracy import CalibrationFrame
    from partway.partitioner.plan.chain import Chain
    from partway.partitioner.plan.new_folder import NewFolder
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

HELP = "make int8 stages for the device, and measure their loss of agreement"
MEASURE_S = 0.5


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway quantize``."""
    slice_arguments(parser, "a plan's folder, a shipped model's name, or anything that `partway plan` takes")
    add = parser.add_argument
    add(
        "--calibrate",
        type=Path,
        required=True,
        metavar="DIR|NPZ",
        help="a folder of pictures, or an .npz file: every other one sets ranges",
    )
    add("--frames", type=int, default=128, metavar="N", help="use at most this many of them (default: 128)")
    add("--truth", type=Path, metavar="JSON", help="right classes, file name to number, to measure accuracy as well")
    add("--truth-offset", type=int, default=0, metavar="N", help="added to every class in --truth")
    add("--threads", type=int, default=1, metavar="N", help="threads for measuring the times (default: 1)")
    add("--max-drop", type=float, default=1.0, metavar="PP", help="marks the splits within it (default: 1)")
    add("--keep-slow", action="store_true", help="also keep int8 stages that are slower than float on this machine")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Quantise, measure, drop what is slower, write, print."""
    from partway.cli.show.plan import progress, show_notes
    from partway.cli.show.quantized import show_quantized
    from partway.partitioner.calibrate.accuracy import in_sequence
    from partway.partitioner.calibrate.quantize import (
        compared,
        load_int8,
        quantized,
        twin_agreements,
        with_agreements,
        without_slow,
    )
    from partway.partitioner.plan.plan_file import save_plan
    from partway.system.sigterm import Sigterm

    with Sigterm(), plan_folder(args) as new:
        chain, frames = _opened(args, new)
        frames = in_sequence(chain, frames)
        warn_of_doubt(chain, frames)
        with progress("int8 stages", len(chain.plan.stages), quiet=args.json) as advance:
            made = quantized(new.folder, chain, frames[::2], lambda count: advance("int8 stages", count))
        times = compared(chain, load_int8(new.folder, made, args.threads), frames[0].values, MEASURE_S)
        float_s, int8_s = (one.stage_s for one in times)
        plan = made if args.keep_slow else without_slow(new.folder, made, float_s, int8_s)
        rows = twin_agreements(chain, load_int8(new.folder, plan, args.threads), frames[1::2])
        plan = with_agreements(plan, rows)
        save_plan(plan, new.folder)
    show_quantized(args, plan, made, rows, times)
    show_notes(new.notes, stderr=args.json)
    return 0


def _opened(args: argparse.Namespace, new: NewFolder) -> tuple[Chain, list[CalibrationFrame]]:
    """The float chain with its files in the new folder: copied from a plan, or sliced from a model file."""
    from partway.engines.registry import engine_for
    from partway.partitioner.plan.chain import load_folder
    from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan
    from partway.partitioner.resolve import is_torch, is_zoo_name
    from partway.partitioner.zoo import model_folder

    file = Path(args.model)
    if is_torch(args.model) or is_zoo_name(args.model) or (file.is_file() and file.name != PLAN_FILE):
        plan, _, _ = sliced(args, new.folder)
        plan = new.inherit(plan, quantizes=True)
    else:
        folder = model_folder(args.model)
        if new.out.samefile(folder):
            raise InputError(f"--out {args.out} is the model's own folder; give another")
        plan = new.inherit(load_plan(folder), quantizes=True)
        _copy(folder, plan, new.folder)
    frames = _frames(args, plan)
    return load_folder(new.folder, plan, engine_for(plan.engine, args.threads)), frames


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
    """Copy the stage files, without int8 ones, which are made anew, and inherited ones, which are there already."""
    from partway.partitioner.calibrate.quantize import INT8

    for stage in plan.stages:
        others = [file for engine, file in stage.twins.items() if engine != INT8 and (folder / file.file).is_file()]
        data = [] if stage.data is None else [stage.data]
        for name in (stage.file, *(file.file for file in (*data, *others))):
            if name:
                with mapped({FileNotFoundError: InputError}, f"{folder} lacks a stage; slice the model again"):
                    shutil.copyfile(folder / name, out / name)
