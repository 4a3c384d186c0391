"""The ``partway`` command: everything that is done to a model before and after it runs."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

import partway
from partway.cli.commands import bench as bench_command
from partway.cli.commands import doctor as doctor_command
from partway.cli.commands import link as link_command
from partway.cli.commands import profile_command
from partway.cli.commands import verify as commands
from partway.errors import PartwayError
from partway.partitioner.zoo.training import command as train_mnist

Run = Callable[[argparse.Namespace], int]
VERBS = {**commands.VERBS, "profile": profile_command.VERB, "bench": bench_command.VERB, "doctor": doctor_command.VERB}


def parser() -> argparse.ArgumentParser:
    """The command line; each sub-command brings its own arguments and function."""
    made = argparse.ArgumentParser("partway", description="Cut, slice and verify models; train the demo model.")
    made.add_argument("--version", action="version", version=f"partway {partway.__version__}")
    verbs = made.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for name, (help_text, arguments, run) in VERBS.items():
        verb = verbs.add_parser(name, help=help_text, description=help_text)
        arguments(verb)
        verb.set_defaults(run=run)
    link = verbs.add_parser("link", help="links between device and cloud").add_subparsers(required=True, metavar="WHAT")
    emulate = link.add_parser("emulate", help=link_command.__doc__, description=link_command.__doc__)
    link_command.add_arguments(emulate)
    emulate.set_defaults(run=link_command.run)
    train = verbs.add_parser("train", help="train a model of Partway's own").add_subparsers(
        required=True, metavar="MODEL"
    )
    mnist = train.add_parser("mnist", help="train the digit classifier on the MNIST files")
    train_mnist.add_arguments(mnist)
    mnist.set_defaults(run=train_mnist.run)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="partway: %(message)s", stream=sys.stderr)
    run: Run = args.run
    try:
        return run(args)
    except PartwayError as error:
        print(f"partway: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
