"""The options of every command that decides: the objective, the device's power, the constraints.

Commands add these arguments before they load anything: nothing here needs numpy.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints, parse_bytes
from partway.partitioner.decide.objectives import OBJECTIVES, Objective, objective
from partway.partitioner.decide.power import POWERS, Power, parse_power, power_of
from partway.system.option_table import add_options, amount, checked, option, rows, text, texts

_option = partial(option, programs=("edge-run", "Session", "partway explain", "partway bench"))
MAX_DROP = 1.0
"""Percentage points of agreement that a codec may cost by default."""


def _power(value: Any, flag: str) -> Power:
    return value if isinstance(value, Power) else parse_power(text(value, flag))


def _objective(value: Any, flag: str) -> str:
    return objective(text(value, flag)).name


def _points(value: Any, flag: str) -> float:
    """Percentage points."""
    try:
        points = float(value)
    except (TypeError, ValueError):
        points = math.nan
    if not 0 <= points <= 100:
        raise InputError(f"{flag} is percentage points, 0 to 100, not {value}")
    return points


@dataclass(frozen=True, slots=True)
class DecisionOptions:
    """The options of a decision. ``max_device_memory`` is bytes, ``max_drop`` percentage points."""

    objective: str = field(
        default="latency",
        metadata=_option("--objective", _objective, f"{', '.join(OBJECTIVES.own_names())} (default: latency)", "NAME"),
    )
    power: Power | None = field(
        default=None,
        metadata=_option(
            "--power", _power, f"of the device: {', '.join(POWERS)} or compute=6.4W,send=4.1W,wait=2.7W", "WATTS"
        ),
    )
    max_device_memory: float | None = field(
        default=None,
        metadata=_option(
            "--max-device-memory",
            amount(parse_bytes, "bytes"),
            "of the device's stages and activations, for example 64MB",
            "SIZE",
        ),
    )
    keep_on_device: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            "--keep-on-device", texts, "a value that may not be sent; input is the raw input (repeatable)", "VALUE"
        ),
    )
    max_drop: float = field(
        default=MAX_DROP,
        metadata=_option("--max-drop", _points, "agreement a codec may cost, points (default: 1)", "PP"),
    )

    def constraints(self) -> Constraints:
        """The constraints on every candidate."""
        return Constraints(self.max_device_memory, self.keep_on_device, self.max_drop)

    def objective_on(self, machine: str) -> tuple[Objective, tuple[str, ...]]:
        """The objective for a device of this name, and notes on what it assumes."""
        power = self.power or power_of(machine) or POWERS["pi4"]
        chosen = objective(self.objective, power)
        return chosen, chosen.notes


def decision_options(values: Mapping[str, Any]) -> DecisionOptions:
    """The checked options. Raises InputError."""
    return DecisionOptions(**checked(rows(DecisionOptions), values))


def decision_arguments(parser: argparse.ArgumentParser) -> None:
    """``--objective``, ``--power`` and the constraints."""
    add_options(parser, rows(DecisionOptions))


def constraints_of(args: argparse.Namespace) -> Constraints:
    """The constraints of those arguments. Raises InputError on a size without unit or a drop out of range."""
    return decision_options(vars(args)).constraints()


def objective_of(args: argparse.Namespace, machine: str) -> tuple[Objective, tuple[str, ...]]:
    """The objective of those arguments for a device of this name, and notes on what it assumes."""
    return decision_options(vars(args)).objective_on(machine)
