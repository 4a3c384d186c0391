"""The verbs of ``partway``: those that ship with it and those that other installed packages add."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from typing import Protocol

from partway.errors import InputError
from partway.plugins import Registry
from partway.system.arguments import Parser

log = logging.getLogger("partway")
PARTS = ("HELP", "add_arguments", "run")


class Command(Protocol):
    """One verb. A module with these three names implements it."""

    HELP: str
    """What the verb does, in one line."""

    def add_arguments(self, parser: Parser) -> None:
        """Declare the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and print. Returns the exit code; may raise PartwayError, which ends the command."""


COMMANDS: Registry[Command] = Registry("partway.commands", "command")


def command(name: str) -> Command:
    """Import the verb of this name. Raises InputError for an unknown name and for an entry that is not a verb."""
    found = COMMANDS.get(name)
    missing = [part for part in PARTS if not hasattr(found, part)]
    if missing:
        raise InputError(f"the command {name!r} lacks {', '.join(missing)}; mend or uninstall the package it is of")
    return found


def commands() -> Iterator[tuple[str, Command]]:
    """Every verb by name, Partway's own first. An unusable verb of another package is skipped with a warning."""
    for name in COMMANDS.names():
        try:
            yield name, command(name)
        except InputError as error:
            if name in COMMANDS.own_names():
                raise
            log.warning("%s", error)
