"""``partway tiers``: where the stages of a plan run best when there are more places than a device and a cloud."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.errors import InputError
from partway.partitioner.decide.tiers import Assignment, AssignmentConstraints, BlockRange, best_assignments
from partway.partitioner.explain.tiers_file import TIERS_FILE, read_tiers
from partway.partitioner.plan.plan_file import load_plan


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway tiers``."""
    add = parser.add_argument
    add("plan", type=Path, help="the folder of a plan")
    add("--tiers", type=Path, metavar="FILE", help=f"hosts and links (default: {TIERS_FILE} in the folder)")
    add("--best", type=int, default=5, metavar="N", help="how many to show (default: 5)")
    add("--use", action="append", default=[], metavar="TIER", help="must take part")
    add("--avoid", action="append", default=[], metavar="TIER", help="must not take part")
    add("--at", action="append", default=[], metavar="STAGE=TIER", help="this stage, counted from 0, runs there")
    add("--host", action="append", default=[], metavar="TIER=HOST[,HOST]", help="the only hosts of a tier that may run")
    add("--reply", action="store_true", help="count the answer's way back as well (Scission does not)")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the best assignments, fastest first."""
    plan = load_plan(args.plan)
    folder = args.plan if args.plan.is_dir() else args.plan.parent
    tiers = read_tiers(args.tiers or folder / TIERS_FILE, plan, args.reply)
    found = best_assignments(tiers, _wanted(args), args.best)
    if args.json:
        print(json.dumps({"model": plan.model, "plan": plan.digest, "assignments": [_to_json(one) for one in found]}))
        return 0
    table = Table(title=f"{plan.model}: best of the tiers", title_justify="left")
    for column in ("time", "moves", *(tier.name for tier in tiers.tiers)):
        table.add_column(column)
    for one in found:
        by_tier = {part.tier: _shown(part) for part in one.ranges}
        cells = [by_tier.get(tier.name, "-") for tier in tiers.tiers]
        table.add_row(f"{one.latency_s:.4f} s", f"{one.moved_bytes / 1e6:.4f} MB", *cells)
    Console(highlight=False).print(table)
    return 0


def _wanted(args: argparse.Namespace) -> AssignmentConstraints:
    at: dict[int, str] = {}
    for text in args.at:
        stage, _, tier = text.partition("=")
        if not stage.isdigit() or not tier:
            raise InputError(f"--at {text!r} is not STAGE=TIER, for example --at 9=edge")
        at[int(stage)] = tier
    hosts: dict[str, frozenset[str]] = {}
    for text in args.host:
        tier, _, names = text.partition("=")
        if not tier or not names:
            raise InputError(f"--host {text!r} is not TIER=HOST, for example --host edge=vm2Core")
        hosts[tier] = frozenset(names.split(","))
    return AssignmentConstraints(frozenset(args.use), frozenset(args.avoid), at, hosts)


def _shown(part: BlockRange) -> str:
    return f"{part.first}-{part.last} {part.host}"


def _to_json(one: Assignment) -> dict[str, Any]:
    keys = ("tier", "host", "first", "last", "compute_s", "link_s", "moved_bytes")
    ranges = [{key: getattr(part, key) for key in keys} for part in one.ranges]
    return {"latency_s": one.latency_s, "moved_bytes": one.moved_bytes, "ranges": ranges}
