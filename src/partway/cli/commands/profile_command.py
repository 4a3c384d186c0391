"""``partway profile --cloud``: a running cloud's own profile of a model, as the same file that this machine's is."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from partway.cli.commands import profile as profile_command
from partway.edge.transport.access_options import access_arguments, access_of
from partway.errors import InputError, Refused
from partway.partitioner.profile.file import profile_from_json, save_profile
from partway.units import parse_s


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those for this machine, and where the cloud is."""
    profile_command.arguments(parser)
    add = parser.add_argument
    add("--cloud", metavar="HOST:PORT", help="ask this cloud for its profile instead of measuring this machine")
    add("--timeout", default="5s", metavar="TIME", help="how long to wait for the cloud (default: %(default)s)")
    access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the cloud when one is given, else measure here. Returns the exit code."""
    if args.cloud is not None and args.predict is not None:
        raise InputError("--cloud asks for what was measured and --predict for what was not; give one of them")
    return _ask(args) if args.cloud is not None else profile_command.run(args)


def _ask(args: argparse.Namespace) -> int:
    from partway.edge.transport.client import CloudClient

    model = profile_command.model_of(args)
    try:
        with CloudClient(args.cloud, parse_s(args.timeout), access=access_of(args)) as client:
            said = client.describe(model)
    except Refused as error:  # it has no such model: who asked is at fault
        raise InputError(str(error)) from error
    if said.plan is None:
        raise InputError(f"the cloud at {args.cloud} says nothing of {model}; it has {', '.join(said.models)}")
    profile_from_json(said.profile, said.plan)
    if args.out is not None:
        save_profile(args.out, said.profile)
    profile_command.show(said.profile, said.plan, args.json)
    return 0


VERB: tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]] = (
    "measure a model on this machine, or ask a cloud for its own measurement",
    arguments,
    run,
)
