"""``partway train mnist``: train the digit classifier from the published data and export it as ONNX."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from partway.units import whole_number

if TYPE_CHECKING:
    from partway.system.arguments import Parser

HELP = "train a model of Partway's own"
MNIST = "train the digit classifier on the MNIST files"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway train``: which model."""
    models = parser.add_subparsers(required=True, metavar="MODEL")
    mnist_arguments(models.add_parser("mnist", help=MNIST, description=MNIST))


def mnist_arguments(parser: Parser) -> None:
    """The options of ``partway train mnist``."""
    from partway.partitioner.zoo.training.record import BATCH, DEVICES, EPOCHS, SEED

    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for model and record")
    parser.add_argument("--epochs", type=_positive, default=EPOCHS, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=_natural, default=SEED, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch", type=_positive, default=BATCH, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: a GPU if there is one")
    parser.add_argument("--fresh", action="store_true", help="ignore a checkpoint in --out and start over")
    parser.add_argument("--json", action="store_true", help="print the record as JSON, and progress on stderr")


def run(args: argparse.Namespace) -> int:
    """Train as the parsed arguments say; returns the exit code."""
    from partway.cli.show.training import progress
    from partway.partitioner.zoo.training.record import TrainOptions
    from partway.partitioner.zoo.training.train import train_mnist

    fields = ("data", "out", "epochs", "seed", "batch", "device")
    options = TrainOptions(**{name: getattr(args, name) for name in fields}, resume=not args.fresh)
    stream = sys.stderr if args.json else sys.stdout

    def report(line: str) -> None:
        print(line, file=stream, flush=True)

    record = train_mnist(options, report, progress=progress)
    if args.json:
        print(json.dumps(record.to_json(), indent=2))
    return 0


def _positive(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _natural(text: str) -> int:
    number = whole_number(text)
    if number is None or number >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**63 - 1")
    return number
