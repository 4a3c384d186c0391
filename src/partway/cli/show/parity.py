"""The output of ``partway verify``: for every split, the error of its answers against the whole model."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from partway.cli.show.console import Console
from partway.partitioner.plan.parity import Parity
from partway.partitioner.plan.plan import Plan
from partway.units import show_bytes

KEYS = ("k", "cut", "error", "exact", "holds", "inputs", "tolerance")


def show_parity(rows: Sequence[Parity], plan: Plan, as_json: bool) -> None:
    """Print a table, or one JSON object."""
    if as_json:
        splits = [{key: getattr(row, key) for key in KEYS} for row in rows]
        print(json.dumps({"model": plan.model, "digest": plan.digest, "splits": splits}))
        return
    table = Table(title=f"parity of {plan.model} at every split", title_justify="left")
    for column in ("k", "cut", "crosses", "worst relative error", "verdict"):
        table.add_column(column, overflow="fold")
    for row in rows:
        size_bytes = sum(spec.size_bytes() for spec in plan.crossing(row.k))
        verdict = "bit-equal" if row.exact else f"within {_short(row.tolerance)}" if row.holds else "WRONG"
        table.add_row(str(row.k), Text(plan.cut_names[row.k]), show_bytes(size_bytes), f"{row.error:.2g}", verdict)
    Console(highlight=False).print(table)


def _short(number: float) -> str:
    return f"{number:.1g}".replace("e-0", "e-")
