"""A cut: the values that cross from device to cloud, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from partway.units import shortened_names

MOST_VALUES = 4
"""Of a cut that is shown; a cut of dozens would fill the screen."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The values whose removal separates input from output, by name. Data, never an index."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return " + ".join(self.values)


def cut_names(cuts: Sequence[Cut]) -> list[str]:
    """Each cut for people: long names without their middle, no two alike, and a count instead of many values."""
    names = shortened_names(value for cut in cuts for value in cut.values)
    return [_joined([names[value] for value in cut.values]) for cut in cuts]


def _joined(values: Sequence[str]) -> str:
    more = len(values) - MOST_VALUES
    return " + ".join(values if more <= 1 else [*values[:MOST_VALUES], f"{more} more"])
