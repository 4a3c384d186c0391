"""The situations that a chain has to serve, and what every split costs in each.

A situation is a setting (an objective under a constraint) with a device, a cloud, a bandwidth and a level of coding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

BANDWIDTHS_BPS = tuple(mbps * 1e6 for mbps in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 100))
DEVICE_TIMES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""How many times as long as this machine a device takes."""
CLOUD_TIMES = (1.0, 0.25)
RTT_S = 0.01
MEMORY_SHARES = (0.5, 0.25, 0.1)
FREE, KEPT = "free", "input kept"
CONSTRAINTS = (FREE, KEPT, *(f"memory {share:.0%}" for share in MEMORY_SHARES))
"""What a device may do: anything; send no input; hold this part of the weights."""
OBJECTIVES = ("latency", "frames/s")
SETTINGS = tuple((objective, constraint) for objective in OBJECTIVES for constraint in CONSTRAINTS)
WORST = 3.0
"""Regrets above this, that of a chain without any admitted split included, count as this."""


@dataclass(frozen=True)
class Splits:
    """Every split of a graph in order: all in the cloud, the legal cuts, all on the device.

    ``prefix_s`` and ``suffix_s`` are seconds here before and after, ``coding_s`` seconds here to code what crosses,
    ``sent_bytes`` [level, split] what that is, ``weight_bytes`` the prefix's weights; ``sends_input`` marks splits
    where a model input crosses.
    """

    prefix_s: Floats
    suffix_s: Floats
    coding_s: Floats
    sent_bytes: Floats
    weight_bytes: Floats
    sends_input: Bools

    def allowed(self, constraint: str) -> Bools:
        """Which splits a constraint admits."""
        if constraint == FREE:
            return np.ones(len(self.prefix_s), np.bool_)
        if constraint == KEPT:
            return ~self.sends_input
        share = MEMORY_SHARES[CONSTRAINTS.index(constraint) - 2]
        return np.asarray(self.weight_bytes <= share * max(float(self.weight_bytes[-1]), 1.0))

    def times(self, objective: str) -> Floats:
        """Seconds a frame [split, situation]: its latency, or what the slowest of device, link and cloud takes."""
        device, cloud, bandwidth = (
            axis.reshape(-1) for axis in np.meshgrid(DEVICE_TIMES, CLOUD_TIMES, BANDWIDTHS_BPS, indexing="ij")
        )
        device_s = (self.prefix_s + self.coding_s)[:, None] * device
        cloud_s = (self.suffix_s + self.coding_s)[:, None] * cloud
        parts = []
        for sent_bytes in self.sent_bytes:
            link_s = 8 * sent_bytes[:, None] / bandwidth
            if objective == OBJECTIVES[0]:
                rtt_s = np.where(np.arange(len(sent_bytes)) < len(sent_bytes) - 1, RTT_S, 0.0)
                parts.append(device_s + link_s + rtt_s[:, None] + cloud_s)
            else:
                parts.append(np.maximum(np.maximum(device_s, link_s), cloud_s))
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True, slots=True)
class Regret:
    """How much longer than with the best legal cut frames take in a setting: on average, and in the worst situation."""

    objective: str
    constraint: str
    mean: float
    worst: float


class Regrets:
    """The regret of every split in every situation of each setting, against the best split that the setting admits.

    Of several ``variants`` of the same splits, with times of other machines, the situations of all count.
    """

    def __init__(self, *variants: Splits) -> None:
        self.settings: list[tuple[str, str]] = []
        tables = []
        for objective in OBJECTIVES:
            times = np.concatenate([splits.times(objective) for splits in variants], axis=1)
            for constraint in CONSTRAINTS:
                allowed = variants[0].allowed(constraint)
                if not allowed.any():
                    continue
                best = times[allowed].min(axis=0)
                table = np.where(allowed[:, None], times / np.maximum(best, 1e-12) - 1, WORST)
                self.settings.append((objective, constraint))
                tables.append(np.minimum(table, WORST))
        self.table: Floats = np.stack(tables)
        """[setting, split, situation]"""

    def of(self, chain: Sequence[int]) -> tuple[Regret, ...]:
        """The regrets of a chain that has these splits."""
        least = self.table[:, list(chain)].min(axis=1)
        return tuple(
            Regret(objective, constraint, float(row.mean()), float(row.max()))
            for (objective, constraint), row in zip(self.settings, least, strict=True)
        )

    def wanted_by(self, chain: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """For each split of a chain the settings in which it is the best of the chain somewhere."""
        found: dict[int, list[str]] = {split: [] for split in chain}
        for (objective, constraint), table in zip(self.settings, self.table[:, list(chain)], strict=True):
            for place in np.unique(table.argmin(axis=0)):
                found[chain[int(place)]].append(f"{objective}, {constraint}")
        return {split: tuple(names) for split, names in found.items()}
