"""``partway convert``: measurements that others published, as plans and profiles that everything here takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from partway.partitioner.profile.scission_import import Scission, file_name, read_scission, write_all
from partway.units import show_bytes, show_s


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway convert``."""
    parser.add_argument("format", choices=tuple(FORMATS), help="what the file holds")
    parser.add_argument("file", type=Path, help="the measurements")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where a folder a model goes")


def run(args: argparse.Namespace) -> int:
    """Write the plans and profiles, and say what they are."""
    return FORMATS[args.format](args.file, args.out)


def _scission(file: Path, out: Path) -> int:
    measured = read_scission(file)
    folders = write_all(measured, out)
    console = Console(highlight=False)
    console.print(_models(measured))
    for platform, text in measured.platforms.items():
        console.print(f"{file_name(platform)}.json  {text}", markup=False)
    for (one, other), link in measured.links.items():
        console.print(f"link {one} to {other}: {link}", markup=False)
    console.print(f"try: partway tiers {folders[0]}", markup=False, soft_wrap=True)
    return 0


def _models(measured: Scission) -> Table:
    title = f"{len(measured.models)} models, input {show_bytes(measured.input_bytes)}"
    table = Table(title=title, title_justify="left")
    for column in ("model", "blocks", *(file_name(platform) for platform in measured.platforms)):
        table.add_column(column)
    for model, blocks in measured.models.items():
        totals = [show_s(sum(block.seconds[platform] for block in blocks)) for platform in measured.platforms]
        table.add_row(model, str(len(blocks)), *totals)
    return table


FORMATS: dict[str, Callable[[Path, Path], int]] = {"scission": _scission}
