"""``partway models``: every model name, with its input, its answers and the source of its weights."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "list the models that are known by name"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway models``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the models."""
    from partway.cli.show.models import show_models
    from partway.partitioner.zoo import bundled_models
    from partway.partitioner.zoo.catalogue import ZOO

    show_models([*map(_shipped, bundled_models()), *map(_of_zoo, ZOO)], args.json)
    return 0


def _shipped(name: str) -> dict[str, Any]:
    from partway.partitioner.plan.plan_file import load_plan
    from partway.partitioner.zoo import model_folder

    spec = load_plan(model_folder(name)).crossing(0)[0]
    return {
        "name": name,
        "input": list(spec.shape[1:]),
        "answers": "10 digits",
        "parameters": None,
        "weights": "shipped",
        "needs": "nothing",
        "plans": ["shipped"],
    }


def _of_zoo(name: str) -> dict[str, Any]:
    from partway.partitioner.zoo.cache import prepared_folder
    from partway.partitioner.zoo.catalogue import ZOO

    model = ZOO[name]
    folders = {"trained": prepared_folder(name, False, None), "random": prepared_folder(name, True, None)}
    return {
        "name": name,
        "input": [3, model.side, model.side],
        "answers": model.answers,
        "parameters": model.parameters,
        "weights": f"torchvision {model.weights}" if model.weights else "",
        "needs": "torch, torchvision" if model.weights else "torch",
        "plans": [weights for weights, folder in folders.items() if folder is not None],
    }
