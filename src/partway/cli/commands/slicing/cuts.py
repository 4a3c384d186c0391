"""``partway cuts``: where a model can be cut, with the bytes that cross and the share of work before each cut."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.cli.commands.slicing.source import given_inputs, model_arguments, model_source

if TYPE_CHECKING:
    from partway.partitioner.graph.graph import Graph
    from partway.system.arguments import Parser

HELP = "list the legal and the useful cuts of a model"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway cuts``."""
    model_arguments(parser)
    parser.add_argument("--all", action="store_true", help="print all legal cuts, not only the useful ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the cuts."""
    from partway.partitioner.slicing import read_graph

    with model_source(args) as path:
        graph = read_graph(path, given_inputs(args))
    rows = cut_rows(graph)
    if args.json:
        print(json.dumps({"model": str(args.model), "operators": len(graph.operators), "cuts": rows}))
        return 0
    from partway.cli.show.plan import show_cuts

    show_cuts([row for row in rows if args.all or row["useful"]], Path(args.model).name, len(rows))
    return 0


def cut_rows(graph: Graph) -> list[dict[str, Any]]:
    """One row of JSON for each legal cut, in the order of the graph."""
    from partway.partitioner.cuts.candidates import legal_cuts, useful_cuts

    useful = {cut.values for cut in useful_cuts(graph)}
    total = sum(operator.work for operator in graph.operators) or 1
    return [
        {
            "values": list(frontier.cut.values),
            "bytes": frontier.size_bytes,
            "work": frontier.work,
            "work_share": frontier.work / total,
            "useful": frontier.cut.values in useful,
        }
        for frontier in legal_cuts(graph)
    ]
