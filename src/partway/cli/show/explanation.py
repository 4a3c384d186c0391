"""The output of ``partway explain``: the candidates, the reason, and where the choice changes."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.table import Table
from rich.text import Text

from partway.cli.show.console import Console
from partway.partitioner.decide.candidates import candidate_name
from partway.partitioner.explain.explanation import Explanation, Machine, Row, changes, reason
from partway.partitioner.plan.plan import Plan
from partway.units import printable, show_bytes, show_s


def show_explanation(explanation: Explanation, as_json: bool) -> None:
    """Print the table of candidates, the reason and the changes, or one JSON object."""
    if as_json:
        print(json.dumps(to_json(explanation)))
        return
    tty = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not tty, width=None if tty else 120)
    title = f"{explanation.plan.model}: candidates by {explanation.objective.name} on {explanation.link}"
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("split", "at", "codec"):
        table.add_column(column, overflow="fold")
    for column in ("sends", "prefix", "encode", "link", "cloud", "total", *_extra(explanation)):
        table.add_column(column, justify="right", no_wrap=True)
    for row in explanation.rows:
        table.add_row(*map(Text, _cells(explanation, row)), style=_style(explanation, row))
    console.print(table)
    out = dict.fromkeys(row.excluded for row in explanation.rows if row.excluded)
    notes = [f"out: excluded by {' or '.join(out)}"] if out else []
    for line in (
        f"-> {reason(explanation)}",
        *changes(explanation),
        *(f"note: {note}" for note in (*explanation.notes, *notes)),
    ):
        console.print(Text(printable(line)))


def _extra(explanation: Explanation) -> list[str]:
    return [] if explanation.objective.is_latency else [explanation.objective.name]


def _cells(explanation: Explanation, row: Row) -> list[str]:
    candidate, parts = row.candidate, row.estimate
    where = {0: " (cloud)", len(explanation.plan.stages): " (device)"}.get(candidate.k, "")
    prefix, cloud, total = explanation.marks(candidate)
    return [
        f"{candidate.k}{where}" + (" out" if row.excluded else ""),
        explanation.plan.cut_names[candidate.k] if candidate.codec else "-",
        candidate.codec or "-",
        show_bytes(candidate.size_bytes),
        prefix + show_s(parts.prefix_s),
        show_s(parts.encode_s),
        show_s(parts.link_s),
        cloud + show_s(parts.cloud_s),
        total + show_s(parts.total_s),
        *(explanation.score(row) for _ in _extra(explanation)),
    ]


def _style(explanation: Explanation, row: Row) -> str:
    return "dim" if row.excluded else "bold green" if row is explanation.chosen else ""


def to_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation as one JSON object; ``to_bps`` is null if a range has no end."""
    return {
        "model": explanation.plan.model,
        "plan": explanation.plan.digest,
        "objective": explanation.objective.name,
        "link": {"bandwidth_bps": explanation.link.bandwidth_bps, "rtt_s": explanation.link.rtt_s},
        "device": _machine_json(explanation.device),
        "cloud": _machine_json(explanation.cloud),
        "candidates": [
            {**_row_json(row, explanation.plan), "predicted": bool(explanation.marks(row.candidate)[2])}
            for row in explanation.rows
        ],
        "reason": reason(explanation),
        "changes": changes(explanation),
        "crossovers": [
            {
                "from_bps": win.from_bps,
                "to_bps": win.to_bps if math.isfinite(win.to_bps) else None,
                "k": win.candidate.k,
                "codec": win.candidate.codec,
            }
            for win in explanation.wins
        ],
        "notes": list(explanation.notes),
    }


def _machine_json(machine: Machine) -> dict[str, Any]:
    predicted = {"predicted": machine.predicted.to_json()} if machine.predicted else {}
    return {"machine": machine.name, "stage_s": list(machine.stage_s), **predicted}


def _row_json(row: Row, plan: Plan) -> dict[str, Any]:
    parts = ("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s", "total_s")
    return {
        "k": row.candidate.k,
        "codec": row.candidate.codec,
        "name": candidate_name(row.candidate, plan, whole=True),
        "bytes": row.candidate.size_bytes,
        **{part: getattr(row.estimate, part) for part in parts},
        "agreement": row.candidate.agreement,
        "score": row.score,
        "excluded": row.excluded,
    }
