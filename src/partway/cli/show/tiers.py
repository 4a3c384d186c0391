"""The output of ``partway tiers``: where each stage runs, fastest assignment first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from partway.cli.show.console import Console
from partway.partitioner.decide.tiers import Assignment, BlockRange
from partway.partitioner.plan.plan import Plan


def show_assignments(plan: Plan, tiers: Sequence[str], found: Sequence[Assignment], as_json: bool) -> None:
    """Print a table with a column for each of the ``tiers``, or one JSON object."""
    if as_json:
        assignments = [_to_json(one) for one in found]
        print(json.dumps({"model": plan.model, "plan": plan.digest, "assignments": assignments}))
        return
    table = Table(title=f"{plan.model}: best of the tiers", title_justify="left")
    for column in ("time", "moves", *tiers):
        table.add_column(column)
    for one in found:
        by_tier = {part.tier: _shown(part) for part in one.ranges}
        cells = [by_tier.get(tier, "-") for tier in tiers]
        table.add_row(f"{one.latency_s:.4f} s", f"{one.moved_bytes / 1e6:.4f} MB", *cells)
    Console(highlight=False).print(table)


def _shown(part: BlockRange) -> str:
    return f"{part.first}-{part.last} {part.host}"


def _to_json(one: Assignment) -> dict[str, Any]:
    keys = ("tier", "host", "first", "last", "compute_s", "link_s", "moved_bytes")
    ranges = [{key: getattr(part, key) for key in keys} for part in one.ranges]
    return {"latency_s": one.latency_s, "moved_bytes": one.moved_bytes, "ranges": ranges}
