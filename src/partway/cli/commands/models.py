"""``partway models``: every name that ``--model`` knows, what goes in and comes out, where weights come from."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import bundled_models, model_folder
from partway.partitioner.zoo.cache import prepared_folder
from partway.partitioner.zoo.catalogue import ZOO


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway models``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    rows = [_shipped(name) for name in bundled_models()] + [_made(name) for name in ZOO]
    if args.json:
        print(json.dumps({"models": rows}))
        return 0
    table = Table(title="models by name", title_justify="left")
    for column in ("model", "input", "answers", "parameters", "weights", "needs", "plan"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for row in rows:
        parameters = "" if row["parameters"] is None else f"{row['parameters'] / 1e6:.1f} M"
        shape = "x".join(str(side) for side in row["input"])
        kept = ", ".join(row["plans"]) or "when first used"
        table.add_row(
            row["name"], shape, row["answers"], parameters, row["weights"] or "random only", row["needs"], kept
        )
    console = Console(highlight=False, width=None if Console().is_terminal else 140)
    console.print(table)
    console.print("try: edge-run --model resnet18 --random-weights   (needs: pip install 'partway[zoo]')", markup=False)
    return 0


def _shipped(name: str) -> dict[str, Any]:
    plan = load_plan(model_folder(name))
    spec = plan.crossing(0)[0]
    return {
        "name": name,
        "input": list(spec.shape[1:]),
        "answers": "10 digits",
        "parameters": None,
        "weights": "shipped",
        "needs": "nothing",
        "plans": ["shipped"],
    }


def _made(name: str) -> dict[str, Any]:
    model = ZOO[name]
    kept = {"trained": prepared_folder(name, False, None), "random": prepared_folder(name, True, None)}
    return {
        "name": name,
        "input": [3, model.side, model.side],
        "answers": model.answers,
        "parameters": model.parameters,
        "weights": f"torchvision {model.weights}" if model.weights else "",
        "needs": "torch, torchvision" if model.weights else "torch",
        "plans": [what for what, folder in kept.items() if folder is not None],
    }
