"""``partway slice``: cut a model into one file per stage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.source import slice_arguments, sliced

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "cut a model into one file per stage"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway slice``."""
    slice_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write plan.json and one file per stage, and print the stages."""
    from partway.cli.show.plan import show_stages
    from partway.partitioner.plan.plan_file import save_plan

    plan, _, _ = sliced(args)
    save_plan(plan, args.out)
    show_stages(plan)
    return 0
