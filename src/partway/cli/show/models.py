"""The output of ``partway models``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from partway.cli.show.console import Console

COLUMNS = ("model", "input", "answers", "parameters", "weights", "needs", "plan")


def show_models(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print a table, or one JSON object."""
    if as_json:
        print(json.dumps({"models": rows}))
        return
    table = Table(title="models by name", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for row in rows:
        parameters = "" if row["parameters"] is None else f"{row['parameters'] / 1e6:.1f} M"
        shape = "x".join(str(side) for side in row["input"])
        plans = ", ".join(row["plans"]) or "when first used"
        weights = row["weights"] or "random only"
        table.add_row(row["name"], shape, row["answers"], parameters, weights, row["needs"], plans)
    console = Console(highlight=False, width=None if Console().is_terminal else 140)
    console.print(table)
    console.print("try: edge-run --model resnet18 --random-weights   (needs: pip install 'partway[zoo]')", markup=False)
