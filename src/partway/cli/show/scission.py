"""The output of ``partway convert scission``: the models, platforms and links of the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from partway.cli.show.console import Console
from partway.partitioner.profile.scission_import import Scission, file_name
from partway.units import show_bytes, show_s


def show_scission(measured: Scission, folders: Sequence[Path]) -> None:
    """Print what was read, and a command to try with the first folder."""
    console = Console(highlight=False)
    console.print(_models(measured))
    for platform, text in measured.platforms.items():
        console.print(f"{file_name(platform)}.json  {text}", markup=False)
    for (one, other), link in measured.links.items():
        console.print(f"link {one} to {other}: {link}", markup=False)
    console.print(f"try: partway tiers {folders[0]}", markup=False, soft_wrap=True)


def _models(measured: Scission) -> Table:
    title = f"{len(measured.models)} models, input {show_bytes(measured.input_bytes)}"
    table = Table(title=title, title_justify="left")
    for column in ("model", "blocks", *(file_name(platform) for platform in measured.platforms)):
        table.add_column(column)
    for model, blocks in measured.models.items():
        totals = [show_s(sum(block.seconds[platform] for block in blocks)) for platform in measured.platforms]
        table.add_row(model, str(len(blocks)), *totals)
    return table
