"""The ``partway`` command: slice, measure and explain models."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import partway
from partway.cli.registry import Command, command, commands
from partway.system.arguments import Parser
from partway.system.command import log_to_stderr, run_command

DESCRIPTION = "Slice models, measure them, and explain where they run best."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit code. Only the module of that verb is imported."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run_command("partway", lambda: _run(words))


def _run(words: list[str]) -> int:
    log_to_stderr(logging.WARNING, "partway: %(message)s")
    if not words:
        print(overview().format_help(), end="")
        return 2
    if words[0].startswith("-"):
        overview().parse_args(words)  # prints help, the version or an error; each ends the program
    verb = command(words[0])
    return verb.run(verb_parser(words[0], verb).parse_args(words[1:]))


def verb_parser(name: str, verb: Command) -> Parser:
    """The parser of one verb."""
    parser = Parser(f"partway {name}", description=verb.HELP)
    verb.add_arguments(parser)
    return parser


def overview() -> Parser:
    """The parser that ``partway --help`` prints: every verb with its line of help."""
    parser = Parser("partway", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"partway {partway.__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, verb in commands():
        verbs.add_parser(name, help=verb.HELP)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
