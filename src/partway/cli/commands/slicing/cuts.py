"""``partway cuts``: where a model can be cut, what crosses there after coding, and the time before each cut."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.cli.commands.slicing.examples import read_examples
from partway.cli.commands.slicing.sample_inputs import picture_of, real_samples
from partway.cli.commands.slicing.source import given_inputs, model_arguments, model_source

if TYPE_CHECKING:
    from partway.partitioner.cuts.chain import Choice
    from partway.partitioner.cuts.costs import Costs
    from partway.partitioner.graph.graph import Graph
    from partway.system.arguments import Parser

HELP = "list the legal cuts of a model and those that a chain uses"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway cuts``."""
    model_arguments(parser)
    add = parser.add_argument
    add("--calibrate", type=Path, metavar="DIR|NPZ", help="real inputs to measure bytes on (default: generated ones)")
    add("--all", action="store_true", help="print all legal cuts, not only those of the chain")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the cuts."""
    from partway.partitioner.cuts.chain import choose_chain
    from partway.partitioner.slicing import costs_here, open_model

    with model_source(args) as path:
        source = open_model(path, given_inputs(args))
        picture = picture_of(source, args.model)
        samples = real_samples(source, picture, args.calibrate)
        costs = costs_here(source, picture, samples, read_examples(args.example))
    found = cuts_to_json(source.graph, costs, choose_chain(source.graph, costs))
    if args.json:
        print(json.dumps({"model": str(args.model), **found}))
        return 0
    from partway.cli.show.cuts import show_cuts

    show_cuts(found, Path(args.model).name, args.all)
    return 0


def cuts_to_json(graph: Graph, costs: Costs, choice: Choice) -> dict[str, Any]:
    """Every legal cut in the order of the graph, where the numbers come from, and the chain's regrets."""
    from partway.partitioner.cuts.costs import LEVELS, PICTURES

    return {
        "operators": len(graph.operators),
        "levels": list(LEVELS),
        "bytes_from": costs.bytes_from,
        "times_from": costs.times_from,
        "total_s": sum(costs.operator_s),
        "picture_bytes": None if costs.picture is None else dict(zip(PICTURES, costs.picture, strict=True)),
        "cuts": cut_rows(graph, choice, LEVELS),
        "regrets": [
            {"objective": one.objective, "constraint": one.constraint, "mean": one.mean, "worst": one.worst}
            for one in choice.regrets
        ],
    }


def cut_rows(graph: Graph, choice: Choice, levels: Sequence[str]) -> list[dict[str, Any]]:
    """One row of JSON for each legal cut: bytes uncoded and coded, shares of work and time before it, who wants it."""
    work, splits = graph.work(graph.everything) or 1, choice.splits
    total_s, weights = float(splits.prefix_s[-1]) or 1.0, float(splits.weight_bytes[-1]) or 1.0
    return [
        {
            "values": list(one.cut.values),
            "bytes": sum(graph.size_bytes(name) for name in one.cut.values),
            "coded_bytes": dict(zip(levels, splits.sent_bytes[:, split].tolist(), strict=True)),
            "time_share": float(splits.prefix_s[split]) / total_s,
            "work": one.work,
            "work_share": one.work / work,
            "weight_share": float(splits.weight_bytes[split]) / weights,
            "useful": split in choice.chain,
            "wanted_for": list(choice.wanted.get(split, ())),
        }
        for split, one in enumerate(choice.legal, 1)
    ]
