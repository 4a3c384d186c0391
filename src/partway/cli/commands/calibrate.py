"""``partway calibrate``: learn from profiles of several models how long a machine takes for each operator."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "learn from profiles how long a machine takes for each operator"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway calibrate``."""
    add = parser.add_argument
    add("profiles", type=Path, nargs="+", metavar="PROFILE", help="profiles with operators, all of one machine")
    add(
        "--models",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="the plans of the profiles, or folders of plans",
    )
    add("--out", type=Path, required=True, metavar="FILE.json", help="where the calibration goes")
    add("--json", action="store_true", help="also print it")


def run(args: argparse.Namespace) -> int:
    """Fit, find the error by leaving out each model in turn, write, and print."""
    from partway.cli.show.calibration import show_calibration
    from partway.partitioner.calibrate.machine import calibrate_machine
    from partway.partitioner.profile.file import save_profile
    from partway.partitioner.profile.predict import calibration_to_json

    calibration = calibrate_machine(args.profiles, args.models)
    save_profile(args.out, calibration_to_json(calibration))
    show_calibration(calibration, args.json)
    return 0
