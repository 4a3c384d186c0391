"""A cut: the values that cross from device to cloud, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cut:
    """The values whose removal separates input from output, by name. Data, never an index."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return " + ".join(self.values)
