"""The table of ``partway cuts``, and how far the chain is from the best legal cuts in every setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.units import show_bytes, show_s


def show_cuts(found: Mapping[str, Any], name: str, every: bool) -> None:
    """Print what ``partway cuts --json`` has: the chain's cuts, or ``every`` legal one, and the regrets."""
    console = Console(highlight=False)
    rows = [row for row in found["cuts"] if every or row["useful"]]
    if rows:
        console.print(_table(rows, name, found))
    console.print(f"bytes: {found['bytes_from']}; times ({show_s(found['total_s'])} in all): {found['times_from']}")
    if found["picture_bytes"]:
        console.print("instead of a cut, the picture: " + _levels(found["picture_bytes"]))
    console.print(_regrets(found["regrets"]))
    if not any(row["useful"] for row in found["cuts"]):
        console.print(_advice(len(found["cuts"])))


SHOWN = ("q8", "q4")
"""The levels that have a column; ``--json`` has all of them."""


def _table(rows: Sequence[Mapping[str, Any]], name: str, found: Mapping[str, Any]) -> Table:
    table = Table(title=f"cuts of {name} ({len(found['cuts'])} legal)", title_justify="left")
    table.add_column("cut", overflow="fold")
    for column in ("uncoded", *SHOWN, "time"):
        table.add_column(column, justify="right")
    for objective in _objectives(found["regrets"]):
        table.add_column(objective)
    for row in rows:
        coded = [show_bytes(row["coded_bytes"][level]) for level in SHOWN]
        cells = [" + ".join(row["values"]), show_bytes(row["bytes"]), *coded, f"{row['time_share']:.1%}"]
        table.add_row(*cells, *(_wanted(row, objective) for objective in _objectives(found["regrets"])))
    return table


def _objectives(regrets: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(row["objective"]) for row in regrets))


def _wanted(row: Mapping[str, Any], objective: str) -> str:
    """Under which constraints a cut is the chain's best somewhere: ``free, kept, memory``."""
    constraints = [one.removeprefix(f"{objective}, ") for one in row["wanted_for"] if one.startswith(f"{objective}, ")]
    return ", ".join(dict.fromkeys(one.split(" ")[0 if one.startswith("memory") else -1] for one in constraints))


def _levels(sizes: Mapping[str, float]) -> str:
    return ", ".join(f"{level} {show_bytes(size)}" for level, size in sizes.items())


def _regrets(regrets: Sequence[Mapping[str, Any]]) -> Table:
    """How much longer frames take with these cuts than with the best legal one, over all links and devices."""
    table = Table(title="slower than with the best legal cut, mean / worst", title_justify="left")
    table.add_column("allowed")
    objectives = _objectives(regrets)
    for objective in objectives:
        table.add_column(objective, justify="right")
    for constraint in dict.fromkeys(row["constraint"] for row in regrets):
        some = {row["objective"]: row for row in regrets if row["constraint"] == constraint}
        cells = [f"{some[one]['mean']:.1%} / {some[one]['worst']:.1%}" if one in some else "-" for one in objectives]
        table.add_row(constraint, *cells)
    return table


def _advice(legal: int) -> str:
    if not legal:
        return "no cut separates this model's inputs from its outputs; it runs whole, on one side"
    return (
        "no cut pays: at every bandwidth the whole model on the device or in the cloud is about as fast; "
        "--all lists the legal cuts, and `partway slice --cuts NAME` cuts at one of them"
    )
