"""The output of ``partway calibrate``: the errors of the fitted times, per kind of operator and per model."""

from __future__ import annotations

import json

from rich.table import Table

from partway.cli.show.console import Console
from partway.partitioner.profile.predict import Calibration, calibration_to_json


def show_calibration(calibration: Calibration, as_json: bool) -> None:
    """Print tables, or the calibration's JSON."""
    if as_json:
        print(json.dumps(calibration_to_json(calibration)))
        return
    console = Console(highlight=False)
    table = Table(title=f"{calibration.about['machine']}: error for models left out", title_justify="left")
    for column in ("operators", "points", "median", "p90"):
        table.add_column(column, justify="left" if column == "operators" else "right")
    for kind, errors in sorted(calibration.operators.items(), key=lambda item: -item[1].count):
        name = kind if kind in calibration.regression.kinds else f"{kind} (as all kinds)"
        table.add_row(name, str(errors.count), f"{errors.median:.0%}", f"{errors.p90:.0%}")
    console.print(table)
    for model, error in calibration.models.items():
        console.print(f"{model}: {error:+.0%}", markup=False)
    console.print(
        f"whole models: half within ±{calibration.total.median:.0%}, nine in ten within ±{calibration.total.p90:.0%}",
        markup=False,
    )
