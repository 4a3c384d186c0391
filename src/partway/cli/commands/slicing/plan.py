"""``partway plan``: slice a model, and measure its stages and codecs on this machine."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.source import slice_arguments, sliced
from partway.errors import InputError

if TYPE_CHECKING:
    from partway.partitioner.calibrate.accuracy import CalibrationFrame
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

HELP = "slice a model, and measure its stages and codecs on this machine"
MEASURE_S = 0.5


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway plan``."""
    slice_arguments(parser)
    add = parser.add_argument
    add("--calibrate", type=Path, metavar="DIR|NPZ", help="real inputs to measure and fit codecs on")
    add("--frames", type=int, default=64, metavar="N", help="use at most this many of them (default: 64)")
    add("--truth", type=Path, metavar="JSON", help="right classes, file name to number, to measure accuracy as well")
    add("--truth-offset", type=int, default=0, metavar="N", help="added to every class given")
    add(
        "--max-drop", type=float, default=1.0, metavar="PP", help="agreement that a codec may cost, points (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Slice, then measure stages and codecs on this machine; everything goes into plan.json."""
    if args.frames < 1:
        raise InputError(f"--frames must be 1 or more, not {args.frames}")
    from partway.cli.show.plan import progress, show_plan
    from partway.partitioner.calibrate.plan_step import calibrated, remove_notes
    from partway.partitioner.plan.plan_file import save_plan
    from partway.partitioner.profile.file import profile_to_json
    from partway.partitioner.profile.measure import measure

    plan, chain, engine = sliced(args)
    frames = _frames(args, plan)
    with progress("codecs", len(plan.stages)) as advance:
        plan = calibrated(chain, engine, frames, args.out, args.calibrate is not None, advance)
    profile = profile_to_json(measure(chain, frames[0].values, MEASURE_S), engine, plan.digest, plan.model)
    plan = replace(plan, profiles=(profile,))
    save_plan(plan, args.out)
    remove_notes(args.out)
    show_plan(plan, args.max_drop, real=args.calibrate is not None)
    return 0


def _frames(args: argparse.Namespace, plan: Plan) -> list[CalibrationFrame]:
    """The frames of ``--calibrate``, or random frames without it."""
    from partway.partitioner.calibrate.inputs import random_frames, read_frames

    if args.calibrate is None:
        return random_frames(plan)
    return read_frames(args.calibrate, plan, args.frames, args.truth, args.truth_offset)
