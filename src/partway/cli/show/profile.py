"""The output of ``partway profile``: tables of stages and operators, or the profile's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from partway.cli.show.console import Console
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.file import OperatorSeconds, Profile, read_profile
from partway.units import shortened_names, show_s

SHOWN = 15


def show_profile(data: dict[str, Any], plan: Plan, as_json: bool) -> None:
    """Print the JSON itself, or tables of stages and operators."""
    if as_json:
        print(json.dumps(data))
        return
    profile = read_profile(data)
    console = Console(highlight=False)
    console.print(_stage_table(profile, plan))
    if profile.operators:
        console.print(_operator_table(profile))
    if profile.predicted is not None:
        whole = f"whole model ~{show_s(sum(profile.stage_s))} on {profile.machine}, {profile.predicted}"
        console.print(whole, markup=False, soft_wrap=True)
        return
    if profile.operators:
        longer = max(data.get("profiler", {}).get("slowdown", 1.0) - 1, 0.0)
        console.print(
            f"operators add up to their stage's own time; while they were watched the model took {longer:.0%} longer"
        )
    if profile.busy:
        console.print(f"{profile.busy}; measure again on a quiet one", markup=False, soft_wrap=True)
    console.print(
        f"whole model {show_s(sum(profile.stage_s))}, spread {profile.spread:.0%}, {profile.runs} runs,"
        f" {profile.engine} on {profile.threads} threads, {profile.date}"
    )


def _stage_table(profile: Profile, plan: Plan) -> Table:
    table = Table(title=f"{plan.model} on {profile.machine}", title_justify="left")
    for column in ("stage", "operators", "time", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    total_s = sum(profile.stage_s) or 1.0
    for stage, stage_s in zip(plan.stages, profile.stage_s, strict=True):
        table.add_row(stage.file, str(stage.operators), _shown_s(stage_s, profile), f"{stage_s / total_s:.1%}")
    return table


def _operator_table(profile: Profile) -> Table:
    slowest = sorted(profile.operators, key=lambda one: -one.time_s)
    table = Table(title=f"operators (the {min(SHOWN, len(slowest))} slowest of {len(slowest)})", title_justify="left")
    for column in ("operator", "kind", "stage", "time", "share"):
        table.add_column(column, justify="right" if column in ("time", "share") else "left")
    total_s = sum(profile.stage_s) or 1.0
    names = shortened_names(one.name for one in slowest[:SHOWN] if one.name)
    for one in slowest[:SHOWN]:
        time = _shown_s(one.time_s, profile)
        table.add_row(Text(_name(one, names)), one.kind, str(one.stage), time, f"{one.time_s / total_s:.1%}")
    if others := slowest[SHOWN:]:
        others_s = sum(one.time_s for one in others)
        table.add_row(f"{len(others)} more", "", "", _shown_s(others_s, profile), f"{others_s / total_s:.1%}")
    return table


def _shown_s(seconds: float, profile: Profile) -> str:
    """Seconds for people, with a ``~`` if they are predicted."""
    return show_s(seconds) if profile.predicted is None else f"~{show_s(seconds)}"


def _name(one: OperatorSeconds, names: Mapping[str, str]) -> str:
    others: Sequence[str] = [name for name in one.fused if name != one.name]
    return f"{names[one.name] if one.name else '-'}{f' + {len(others)} fused' if others else ''}"
