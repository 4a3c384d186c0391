"""Options of a decision, its objective and its constraints, as every command that decides has them.

Commands add these arguments before they load anything: nothing here needs numpy.
"""

from __future__ import annotations

import argparse

from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints, parse_bytes
from partway.partitioner.decide.objectives import OBJECTIVES, Objective, objective
from partway.partitioner.decide.power import POWERS, parse_power, power_of

MAX_DROP = 1.0
"""Percentage points of agreement that a codec may cost where nothing else is said."""


def decision_arguments(parser: argparse.ArgumentParser) -> None:
    """What is wanted and what is allowed: ``--objective``, ``--power`` and the constraints."""
    add = parser.add_argument
    add(
        "--objective", default="latency", metavar="NAME", help=f"{', '.join(OBJECTIVES.own_names())} (default: latency)"
    )
    add("--power", metavar="WATTS", help=f"of the device: {', '.join(POWERS)} or compute=6.4W,send=4.1W,wait=2.7W")
    add("--max-device-memory", metavar="SIZE", help="of the device's stages and activations, for example 64MB")
    add("--keep-on-device", action="append", default=[], metavar="VALUE", help="may not be sent; input: the raw input")
    add(
        "--max-drop", type=float, default=MAX_DROP, metavar="PP", help="agreement a codec may cost, points (default: 1)"
    )


def constraints_of(args: argparse.Namespace) -> Constraints:
    """The constraints of those arguments. Raises InputError on a size without unit or a drop out of range."""
    if not 0 <= args.max_drop <= 100:
        raise InputError(f"--max-drop is percentage points, 0 to 100, not {args.max_drop:g}")
    most = None if args.max_device_memory is None else parse_bytes(args.max_device_memory)
    return Constraints(most, tuple(args.keep_on_device), args.max_drop)


def objective_of(args: argparse.Namespace, machine: str) -> tuple[Objective, tuple[str, ...]]:
    """The objective of those arguments for a device of this name, and what to say about it."""
    power = parse_power(args.power) if args.power else power_of(machine) or POWERS["pi4"]
    made = objective(args.objective, power)
    return made, made.notes
