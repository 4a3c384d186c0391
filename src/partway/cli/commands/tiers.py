"""``partway tiers``: where the stages of a plan run best if there are more tiers than device and cloud."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from partway.errors import InputError
from partway.units import whole_number

if TYPE_CHECKING:
    from partway.partitioner.decide.tiers import AssignmentConstraints
    from partway.system.arguments import Parser

HELP = "find the best tiers for the stages: device, edge and cloud"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway tiers``."""
    parser.add_named("model", type=Path, metavar="DIR", help="the folder of a plan")
    add = parser.add_argument
    add("--tiers", type=Path, metavar="FILE", help="hosts and links (default: tiers.json in the folder)")
    add("--best", type=int, default=5, metavar="N", help="how many to show (default: 5)")
    add("--use", action="append", default=[], metavar="TIER", help="must take part")
    add("--avoid", action="append", default=[], metavar="TIER", help="must not take part")
    add("--at", action="append", default=[], metavar="STAGE=TIER", help="this stage, counted from 0, runs there")
    add("--host", action="append", default=[], metavar="TIER=HOST[,HOST]", help="the only hosts of a tier that may run")
    add("--reply", action="store_true", help="also count sending the answer back (Scission does not)")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the best assignments, fastest first."""
    from partway.cli.show.tiers import show_assignments
    from partway.partitioner.decide.tiers import best_assignments
    from partway.partitioner.explain.tiers_file import TIERS_FILE, read_tiers
    from partway.partitioner.plan.plan_file import load_plan

    plan = load_plan(args.model)
    folder = args.model if args.model.is_dir() else args.model.parent
    tiers = read_tiers(args.tiers or folder / TIERS_FILE, plan, args.reply)
    found = best_assignments(tiers, _constraints(args), args.best)
    show_assignments(plan, [tier.name for tier in tiers.tiers], found, args.json)
    return 0


def _constraints(args: argparse.Namespace) -> AssignmentConstraints:
    """Which tiers and hosts must, may and may not run which stages. Raises InputError."""
    from partway.partitioner.decide.tiers import AssignmentConstraints

    at: dict[int, str] = {}
    for text in args.at:
        stage, _, tier = text.partition("=")
        number = whole_number(stage)
        if number is None or not tier:
            raise InputError(f"--at {text!r} is not STAGE=TIER, for example --at 9=edge")
        at[number] = tier
    hosts: dict[str, frozenset[str]] = {}
    for text in args.host:
        tier, _, names = text.partition("=")
        if not tier or not names:
            raise InputError(f"--host {text!r} is not TIER=HOST, for example --host edge=vm2Core")
        hosts[tier] = frozenset(names.split(","))
    return AssignmentConstraints(frozenset(args.use), frozenset(args.avoid), at, hosts)
