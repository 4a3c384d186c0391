"""``partway convert``: turn published measurements into plans and profiles that other verbs read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "turn published measurements into plans and profiles"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway convert``."""
    parser.add_argument("format", choices=tuple(FORMATS), metavar="FORMAT", help=f"of the file: {', '.join(FORMATS)}")
    parser.add_argument("file", type=Path, metavar="FILE", help="the measurements")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the folders go, one per model")


def run(args: argparse.Namespace) -> int:
    """Write the plans and profiles, and print a summary."""
    FORMATS[args.format](args.file, args.out)
    return 0


def _scission(file: Path, out: Path) -> None:
    from partway.cli.show.scission import show_scission
    from partway.partitioner.profile.scission_import import read_scission, write_all

    measured = read_scission(file)
    show_scission(measured, write_all(measured, out))


FORMATS = {"scission": _scission}
