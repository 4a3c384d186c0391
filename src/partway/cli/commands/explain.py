"""``partway explain``: what a plan decides on a link, and why, in the terminal, as a page, as a picture."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from partway.errors import InputError, mapped
from partway.partitioner.decide.estimate import Link
from partway.partitioner.decide.options import constraints_of, decision_arguments, objective_of
from partway.partitioner.explain.explanation import Explanation, Machine, Row, changes, explain, machine_of, reason
from partway.partitioner.plan.chain import choose_engine, load_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.measure import busy, machine_name, measure, sample_values
from partway.partitioner.zoo import model_folder
from partway.units import parse_bps, parse_s, show_bytes, show_s

SECONDS = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway explain``."""
    add = parser.add_argument
    add("plan", help="a shipped model's name, or the folder of a plan")
    add("--profile", type=Path, metavar="FILE", help="the device's profile (default: measure this machine)")
    add("--cloud-profile", type=Path, metavar="FILE", help="the cloud's profile (default: measure this machine)")
    add("--bandwidth", default="2Mbps", metavar="BPS", help="of the link, for example 500kbps (default: 2Mbps)")
    add("--rtt", default="40ms", metavar="S", help="round trip of the link (default: 40ms)")
    add("--html", type=Path, metavar="FILE", help="write a page with charts that needs no network")
    add("--png", type=Path, metavar="FILE", help="write the charts as one picture")
    add("--json", action="store_true", help="print one JSON object")
    decision_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the candidates and the reason, and write what was asked for. Returns the exit code."""
    link = Link(parse_bps(args.bandwidth), parse_s(args.rtt))
    constraints = constraints_of(args)
    objective_of(args, "")
    folder = model_folder(args.plan)
    plan = load_plan(folder)
    device, cloud, notes = _machines(args, plan, folder)
    wanted, said = objective_of(args, device.name)
    made = explain(plan, device, cloud, link, wanted, constraints, (*notes, *said))
    _write(made, args)
    if args.json:
        print(json.dumps(to_json(made)))
    else:
        _print(made)
    return 0


def _machines(args: argparse.Namespace, plan: Plan, folder: Path) -> tuple[Machine, Machine, list[str]]:
    """Device and cloud from their profiles; this machine, measured once, for the one that has none."""
    device, cloud = (None if path is None else _read(path, plan) for path in (args.profile, args.cloud_profile))
    if device is not None and cloud is not None:
        return device, cloud, []
    here, notes = _measured(plan, folder)
    if device is None and cloud is None:
        notes.append(
            "the cloud is taken to be as fast as this device; give a --cloud-profile, or the device's --profile"
        )
    return device or here, cloud or here, notes


def _read(path: Path, plan: Plan) -> Machine:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"profile {path} cannot be read ({error.strerror}); make one with `partway profile`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no profile, its text is no JSON; make one with `partway profile`") from error
    return machine_of(data, plan)


def _measured(plan: Plan, folder: Path) -> tuple[Machine, list[str]]:
    chain = load_folder(folder, plan, choose_engine(plan))
    times = measure(chain, sample_values(chain), SECONDS)
    note = busy(times)
    return Machine(machine_name(), times.stage_s), [note] if note else []


def _write(made: Explanation, args: argparse.Namespace) -> None:
    if args.html is None and args.png is None:
        return
    with mapped({ImportError: InputError}, "charts need matplotlib: pip install 'partway[explain]'"):
        from partway.partitioner.explain import charts as explain_plot
        from partway.partitioner.explain import html as explain_html
    with mapped({OSError: InputError}, "the explanation cannot be written"):
        if args.html is not None:
            args.html.write_text(explain_html.page(made), encoding="utf-8")
        if args.png is not None:
            explain_plot.save_png(made, args.png)


def _print(made: Explanation) -> None:
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
