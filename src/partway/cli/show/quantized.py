"""The output of ``partway quantize``: sizes, times and equal answers of the float and the int8 stages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from partway.cli.show.console import Console
from partway.cli.show.plan import share
from partway.partitioner.calibrate.quantize import INT8, TwinAgreement
from partway.partitioner.plan.plan import Plan, Stage
from partway.partitioner.profile.measure import StageTimes, busy_warning
from partway.tasks.registry import measure_of
from partway.units import show_bytes, show_s


def show_quantized(
    args: argparse.Namespace, plan: Plan, made: Plan, rows: Sequence[TwinAgreement], times: Sequence[StageTimes]
) -> None:
    """Print the comparison. ``made``: the plan with every int8 stage; ``times``: of the float and the int8 stages."""
    stages = [_stage(*each) for each in zip(plan.stages, made.stages, *(one.stage_s for one in times), strict=True)]
    if args.json:
        splits = [asdict(row) for row in rows]
        print(json.dumps({"model": plan.model, "plan": plan.digest, "splits": splits, "stages": stages}))
        return
    console = Console(highlight=False, width=None if Console().is_terminal else 120)
    console.print(_stage_table(plan, stages))
    console.print(_split_table(args, plan, rows, stages))
    console.print(f"measured on {rows[0].frames} inputs that set no ranges")
    if slow := [k for k, stage in enumerate(stages) if not stage["kept"] and stage["int8_s"] is not None]:
        console.print(f"stays in float, slower in int8 here: stage {', '.join(map(str, slow))}; --keep-slow keeps them")
    if warning := next((found for one in times if (found := busy_warning(one))), None):
        console.print(warning, soft_wrap=True)
    console.print(f"on the device: edge-run --model {args.out} --engine {INT8}", soft_wrap=True, markup=False)


def _stage(stage: Stage, made: Stage, float_s: float, int8_s: float) -> dict[str, Any]:
    """A stage's sizes and times; None where it has no int8 file. ``kept``: its int8 file is in the plan."""
    twin = made.twins.get(INT8)
    return {
        "float_bytes": stage.size_bytes,
        "int8_bytes": None if twin is None else twin.size_bytes,
        "float_s": float_s,
        "int8_s": None if twin is None else int8_s,
        "ratio": None if twin is None or not float_s else int8_s / float_s,
        "kept": INT8 in stage.twins,
    }


def _stage_table(plan: Plan, stages: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"{plan.model}: stages in float and in int8 on this machine", title_justify="left")
    for column in ("stage", "size, float", "int8", "time, float", "int8", "times as long", "used"):
        table.add_column(column)
    for k, one in enumerate(stages):
        sizes, times = (
            ["-" if one[f"{kind}_{unit}"] is None else show(one[f"{kind}_{unit}"]) for kind in ("float", "int8")]
            for unit, show in (("bytes", show_bytes), ("s", show_s))
        )
        ratio = "-" if one["ratio"] is None else f"{one['ratio']:.2f}"
        table.add_row(str(k), *sizes, *times, ratio, "int8" if one["kept"] else "float")
    return table


def _split_table(
    args: argparse.Namespace, plan: Plan, rows: Sequence[TwinAgreement], stages: Sequence[dict[str, Any]]
) -> Table:
    """The prefix of every split, in float and with the int8 stages that are used."""
    table = Table(title=f"{plan.model}: int8 on the device, float after it", title_justify="left")
    measure = measure_of(plan.output)
    for column in ("split", "at", "prefix, float", "int8", "time", "int8", measure, "right", "error", "admitted"):
        table.add_column(column, overflow="fold")
    used = [{kind: one[f"{'int8' if one['kept'] else 'float'}_{kind}"] for kind in ("bytes", "s")} for one in stages]
    for row in rows:
        k, least = row.k, 1 - args.max_drop / 100
        admitted = k == 0 or (row.agreement is not None and row.agreement >= least - 1e-9)
        sizes = [sum(one["float_bytes"] for one in stages[:k]), sum(one["bytes"] for one in used[:k])]
        times = [sum(one["float_s"] for one in stages[:k]), sum(one["s"] for one in used[:k])]
        table.add_row(
            *(str(k), plan.cut_names[k], *map(show_bytes, sizes), *map(show_s, times)),
            *(share(row.agreement), share(row.accuracy), f"{row.relative_error:.2g}", "yes" if admitted else ""),
        )
    return table
