"""``partway plan``: slice a model, and measure its stages and codecs on this machine."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.source import plan_folder, slice_arguments, sliced, warn_of_doubt
from partway.errors import InputError

if TYPE_CHECKING:
    from partway.engines.interface import Engine
    from partway.partitioner.calibrate.accuracy import CalibrationFrame
    from partway.partitioner.plan.chain import Chain
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

HELP = "slice a model, and measure its stages and codecs on this machine"
MEASURE_S = 0.5


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway plan``."""
    slice_arguments(parser)
    add = parser.add_argument
    add(
        "--calibrate",
        type=Path,
        metavar="DIR|NPZ",
        help="a folder of pictures, or an .npz file, to measure and fit codecs on",
    )
    add("--frames", type=int, default=64, metavar="N", help="use at most this many of them (default: 64)")
    add("--truth", type=Path, metavar="JSON", help="right classes, file name to number, to measure accuracy as well")
    add("--truth-offset", type=int, default=0, metavar="N", help="added to every class in --truth")
    add(
        "--max-drop", type=float, default=1.0, metavar="PP", help="agreement that a codec may cost, points (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Slice, then measure stages and codecs on this machine; everything goes into plan.json."""
    if args.frames < 1:
        raise InputError(f"--frames must be 1 or more, not {args.frames}")
    from partway.cli.show.plan import show_notes, show_plan
    from partway.partitioner.calibrate.plan_step import remove_notes
    from partway.partitioner.plan.chain import Chain
    from partway.partitioner.plan.new_folder import is_calibrated
    from partway.partitioner.plan.plan_file import save_plan
    from partway.partitioner.profile.file import profile_to_json
    from partway.partitioner.profile.measure import measure
    from partway.system.sigterm import Sigterm

    with Sigterm(), plan_folder(args) as new:
        plan, chain, engine = sliced(args, new.folder)
        plan = new.inherit(plan, calibrates=args.calibrate is not None)
        chain = Chain(plan, chain.stages)
        frames = _frames(args, plan)
        if args.calibrate is not None:
            warn_of_doubt(chain, frames)
        if args.calibrate is not None or not is_calibrated(plan):
            plan = _with_codecs(args, chain, engine, frames, new.folder)
        times = measure(chain, frames[0].values, MEASURE_S)
        plan = replace(plan, profiles=(profile_to_json(times, engine, plan.digest, plan.model),))
        save_plan(plan, new.folder)
    if args.calibrate is not None:
        remove_notes(args.out)
    show_plan(plan, args.max_drop, real=is_calibrated(plan))
    show_notes(new.notes)
    return 0


def _with_codecs(
    args: argparse.Namespace, chain: Chain, engine: Engine, frames: list[CalibrationFrame], folder: Path
) -> Plan:
    """The plan with its codecs measured. Those of an earlier calibration do not count: they are fitted again."""
    from partway.cli.show.plan import progress
    from partway.partitioner.calibrate.plan_step import calibrated
    from partway.partitioner.plan.chain import Chain

    chain = Chain(replace(chain.plan, codecs=(), candidates=()), chain.stages)
    with progress("codecs", len(chain.plan.stages)) as advance:
        notes = args.out if args.calibrate is not None else None
        return calibrated(chain, engine, frames, folder, notes, advance)


def _frames(args: argparse.Namespace, plan: Plan) -> list[CalibrationFrame]:
    """The frames of ``--calibrate``, or random frames without it."""
    from partway.partitioner.calibrate.inputs import random_frames, read_frames

    if args.calibrate is None:
        return random_frames(plan)
    return read_frames(args.calibrate, plan, args.frames, args.truth, args.truth_offset)
