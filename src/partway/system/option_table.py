"""Options defined once: one row per option, the source of parsers, checked values and documentation.

A row is the metadata of a dataclass field, and the field gives its name, type and default::

    threads: int = field(default=0, metadata=option("--threads", whole(0), "per frame", "N", programs=("edge-run",)))

``rows`` reads the table of a class, ``add_options`` adds it to a command line, and ``checked`` turns the values from a
command line or a program into the values of the fields.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from partway.errors import InputError

_KEY = "option"
Parse = Callable[[Any, str], Any]
"""Turns text or a value of the right type into the field's value. The second argument is the flag, for InputError."""


@dataclass(frozen=True, slots=True)
class Option:
    """A row. ``name`` and ``default`` are the field's; a ``required`` one may be given as a positional argument."""

    name: str
    flag: str
    parse: Parse
    help: str
    metavar: str
    programs: tuple[str, ...]
    default: Any
    required: bool = False
    repeatable: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.parse is switch

    @property
    def is_repeatable(self) -> bool:
        """Whether the flag may be given several times."""
        return self.repeatable or self.parse is texts

    def read(self, value: Any) -> Any:
        """The checked value; None stands for the default. Raises InputError."""
        if not self.required and (value is None or value == self.default or (self.is_repeatable and value == [])):
            return self.default
        return self.parse(value, self.flag)


def option(
    flag: str, parse: Parse, help_text: str, metavar: str = "", *, programs: Sequence[str], repeatable: bool = False
) -> dict[str, Any]:
    """The metadata of a field that is an option of these programs. ``parse`` gets all values of a repeatable one."""
    row = {"flag": flag, "parse": parse, "help": help_text, "metavar": metavar, "programs": tuple(programs)}
    return {_KEY: {**row, "repeatable": repeatable}}


def rows(table: type, program: str | None = None) -> tuple[Option, ...]:
    """The options among the fields of a dataclass; only those of ``program``, if it is given."""
    found = (
        Option(field.name, default=field.default, required=field.default is MISSING, **field.metadata[_KEY])
        for field in fields(table)
        if _KEY in field.metadata
    )
    return tuple(row for row in found if program is None or program in row.programs)


def add_options(parser: argparse.ArgumentParser, table: Iterable[Option]) -> None:
    """Add the flags to a command line. The namespace gets their unchecked values under the names of the fields."""
    for row in table:
        if row.required:
            parser.add_named(row.name, metavar=row.metavar, help=row.help)  # type: ignore[attr-defined]
            continue
        more: dict[str, Any] = {"default": row.default, "metavar": row.metavar}
        if row.is_switch:
            more = {"default": row.default, "action": "store_true"}
        elif row.is_repeatable:
            more |= {"default": list(row.default), "action": "append"}
        parser.add_argument(row.flag, dest=row.name, help=row.help.replace("%", "%%"), **more)


def checked(table: Iterable[Option], values: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every row: the checked value, or else the default. Other names in ``values`` are ignored."""
    return {row.name: row.read(values.get(row.name)) for row in table}


def text(value: Any, flag: str) -> str:
    """Accept text, a number or a path, as text."""
    if isinstance(value, str | int | Path) and not isinstance(value, bool) and str(value):
        return str(value)
    raise InputError(f"{flag} is text, not {value!r}")


def texts(value: Any, flag: str) -> tuple[str, ...]:
    """Accept several texts. A single text counts as one, not as its letters."""
    return (value,) if isinstance(value, str) else tuple(text(each, flag) for each in value)


def path(value: Any, flag: str) -> Path:
    """Accept a file or folder."""
    if isinstance(value, str | Path):
        return Path(value)
    raise InputError(f"{flag} is a path, not {value!r}")


def switch(value: Any, flag: str) -> bool:
    """Accept True or False."""
    if isinstance(value, bool):
        return value
    raise InputError(f"{flag} is True or False, not {value!r}")


def one_of(*names: str) -> Parse:
    """A parser that accepts one of these words."""

    def parse(value: Any, flag: str) -> str:
        if value not in names:
            from partway.plugins import did_you_mean  # imported only for a mistake

            near = did_you_mean(str(value), names) or ";"
            raise InputError(f"{flag} cannot be {value!r}{near} known: {', '.join(names)}")
        return str(value)

    return parse


def whole(least: int, most: int | None = None, note: str = "") -> Parse:
    """A parser of whole numbers in a range. ``note`` explains the least one, or names another allowed value."""

    def parse(value: Any, flag: str) -> int:
        try:
            number = int(value, 10) if isinstance(value, str) else int(value)
            fits = number == float(value) and least <= number and (most is None or number <= most)
        except (TypeError, ValueError, OverflowError):
            fits = False
        if not fits or isinstance(value, bool):
            span = f"{least}{note} or more" if most is None else f"{least} to {most}{note}"
            raise InputError(f"{flag} must be {span}, not {value}")
        return number

    return parse


def amount(read: Callable[[str], float], unit: str, zero: bool = False) -> Parse:
    """A parser of quantities: text with its unit, for ``read``, or a number of ``unit``."""

    def parse(value: Any, flag: str) -> float:
        if isinstance(value, str):
            return read(value)
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if not (0 < number < math.inf or (zero and number == 0)):
            raise InputError(f"{flag} must be {unit}, {'zero or more' if zero else 'greater than zero'}, not {value!r}")
        return number

    return parse
