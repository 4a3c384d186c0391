"""What ``partway explain`` prints: the candidates of a decision, the reason, and where the answer changes."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from partway.partitioner.explain.explanation import Explanation, Machine, Row, changes, reason
from partway.units import show_bytes, show_s


def show_explanation(made: Explanation, as_json: bool) -> None:
    """Print the table of candidates, the reason and the changes, or one JSON object."""
    if as_json:
        print(json.dumps(to_json(made)))
        return
    tty = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not tty, width=None if tty else 120)
    title = f"{made.plan.model}: candidates by {made.objective.name} on {made.link}"
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("split", "at", "codec"):
        table.add_column(column)
    for column in ("sends", "prefix", "encode", "link", "cloud", "total", *_extra(made)):
        table.add_column(column, justify="right", no_wrap=True)
    for row in made.rows:
        table.add_row(*map(Text, _cells(made, row)), style=_style(made, row))
    console.print(table)
    out = dict.fromkeys(row.excluded for row in made.rows if row.excluded)
    notes = [f"out: excluded by {' or '.join(out)}"] if out else []
    for line in (f"-> {reason(made)}", *changes(made), *(f"note: {note}" for note in (*made.notes, *notes))):
        console.print(Text(line))


def _extra(made: Explanation) -> list[str]:
    return [] if made.objective.is_latency else [made.objective.name]


def _cells(made: Explanation, row: Row) -> list[str]:
    candidate, parts = row.candidate, row.estimate
    where = {0: " (cloud)", len(made.plan.stages): " (device)"}.get(candidate.k, "")
    prefix, cloud, total = made.marks(candidate)
    return [
        f"{candidate.k}{where}" + (" out" if row.excluded else ""),
        str(made.plan.cuts[candidate.k]) if candidate.codec else "-",
        candidate.codec or "-",
        show_bytes(candidate.size_bytes),
        prefix + show_s(parts.prefix_s),
        show_s(parts.encode_s),
        show_s(parts.link_s),
        cloud + show_s(parts.cloud_s),
        total + show_s(parts.total_s),
        *(made.score(row) for _ in _extra(made)),
    ]


def _style(made: Explanation, row: Row) -> str:
    return "dim" if row.excluded else "bold green" if row is made.chosen else ""


def to_json(made: Explanation) -> dict[str, Any]:
    """The explanation as one JSON object; ``to_bps`` is null where a range is endless."""
    return {
        "model": made.plan.model,
        "plan": made.plan.digest,
        "objective": made.objective.name,
        "link": {"bandwidth_bps": made.link.bandwidth_bps, "rtt_s": made.link.rtt_s},
        "device": _machine_json(made.device),
        "cloud": _machine_json(made.cloud),
        "candidates": [{**_row_json(row), "predicted": bool(made.marks(row.candidate)[2])} for row in made.rows],
        "reason": reason(made),
        "changes": changes(made),
        "crossovers": [
            {
                "from_bps": win.from_bps,
                "to_bps": win.to_bps if math.isfinite(win.to_bps) else None,
                "k": win.candidate.k,
                "codec": win.candidate.codec,
            }
            for win in made.wins
        ],
        "notes": list(made.notes),
    }


def _machine_json(machine: Machine) -> dict[str, Any]:
    predicted = {"predicted": machine.predicted.to_json()} if machine.predicted else {}
    return {"machine": machine.name, "stage_s": list(machine.stage_s), **predicted}


def _row_json(row: Row) -> dict[str, Any]:
    parts = ("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s", "total_s")
    return {
        "k": row.candidate.k,
        "codec": row.candidate.codec,
        "name": row.name,
        "bytes": row.candidate.size_bytes,
        **{part: getattr(row.estimate, part) for part in parts},
        "agreement": row.candidate.agreement,
        "score": row.score,
        "excluded": row.excluded,
    }
