"""``partway slice``: cut a model into one file per stage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.source import plan_folder, slice_arguments, sliced

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "cut a model into one file per stage"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway slice``."""
    slice_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write plan.json and one file per stage, and print the stages."""
    from partway.cli.show.plan import show_notes, show_stages
    from partway.partitioner.plan.plan_file import save_plan
    from partway.system.sigterm import Sigterm

    with Sigterm(), plan_folder(args) as new:
        plan, _, _ = sliced(args, new.folder)
        plan = new.inherit(plan)
        save_plan(plan, new.folder)
    show_stages(plan)
    show_notes(new.notes)
    return 0
