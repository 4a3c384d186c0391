"""The output of ``partway quantize``: sizes, times and equal answers of the float and the int8 stages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from partway.cli.show.console import Console
from partway.cli.show.plan import share
from partway.partitioner.calibrate.quantize import INT8, TwinAgreement
from partway.partitioner.plan.plan import Plan
from partway.units import show_bytes, show_s


def show_quantized(
    args: argparse.Namespace,
    plan: Plan,
    rows: Sequence[TwinAgreement],
    float_s: Sequence[float],
    int8_s: Sequence[float],
) -> None:
    """Print the comparison; ``float_s`` and ``int8_s`` are seconds of each stage."""
    sizes = [(stage.size_bytes, stage.twins[INT8].size_bytes) for stage in plan.stages]
    if args.json:
        stages = [
            {"float_bytes": a, "int8_bytes": b, "float_s": c, "int8_s": d}
            for (a, b), c, d in zip(sizes, float_s, int8_s, strict=True)
        ]
        splits = [asdict(row) for row in rows]
        print(json.dumps({"model": plan.model, "plan": plan.digest, "splits": splits, "stages": stages}))
        return
    table = Table(title=f"{plan.model}: int8 on the device, float after it", title_justify="left")
    for column in ("split", "at", "prefix, float", "int8", "time", "int8", "equal", "right", "error", "admitted"):
        table.add_column(column)
    for row in rows:
        k, least = row.k, 1 - args.max_drop / 100
        before, after = (show_bytes(sum(size[side] for size in sizes[:k])) for side in (0, 1))
        admitted = k == 0 or (row.agreement is not None and row.agreement >= least - 1e-9)
        table.add_row(
            *(str(k), str(plan.cuts[k]), before, after, show_s(sum(float_s[:k])), show_s(sum(int8_s[:k]))),
            *(share(row.agreement), share(row.accuracy), f"{row.relative_error:.2g}", "yes" if admitted else ""),
        )
    console = Console(highlight=False, width=None if Console().is_terminal else 120)
    console.print(table)
    console.print(f"measured on {rows[0].frames} inputs that set no ranges")
    console.print(f"on the device: edge-run --model {args.out} --engine {INT8}", soft_wrap=True)
