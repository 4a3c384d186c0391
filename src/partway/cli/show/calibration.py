"""What ``partway calibrate`` prints: how far the fitted times are off, per kind of operator and per model."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from partway.partitioner.profile.predict import Calibration, calibration_to_json


def show_calibration(made: Calibration, as_json: bool) -> None:
    """Print tables, or the calibration's JSON."""
    if as_json:
        print(json.dumps(calibration_to_json(made)))
        return
    console = Console(highlight=False)
    table = Table(title=f"{made.about['machine']}: error for models left out", title_justify="left")
    for column in ("operators", "points", "median", "p90"):
        table.add_column(column, justify="left" if column == "operators" else "right")
    for kind, errors in sorted(made.operators.items(), key=lambda item: -item[1].count):
        name = kind if kind in made.regression.kinds else f"{kind} (as all kinds)"
        table.add_row(name, str(errors.count), f"{errors.median:.0%}", f"{errors.p90:.0%}")
    console.print(table)
    for model, error in made.models.items():
        console.print(f"{model}: {error:+.0%}", markup=False)
    console.print(
        f"whole models: half within ±{made.total.median:.0%}, nine in ten within ±{made.total.p90:.0%}", markup=False
    )
