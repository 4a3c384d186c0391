"""When does splitting pay? Measured Raspberry Pi 4 profiles, bandwidths from 0.25 to 50 Mbps, coded at measured ratios.

    python -m benchmarks.win_map [--data DIR] [--ratio 4 --ratio 14 ...]

Times are Scission's own (Keras on a Raspberry Pi 4 and a GPU host); a ratio divides the bytes of float32 activations:
4 is int8 as it is, more is what benchmarks/rate_accuracy.py measured of codecs. A cell is a model at a bandwidth. A win
is a real split at least 5 % better than the better of its rivals. Coding time is not counted: it is under a millisecond
where a stage takes tens of them here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from partway.partitioner.scission import Scission, read_scission

BANDWIDTHS_BPS = tuple(mbps * 1e6 for mbps in (0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 12, 20, 30, 50))
RTT_S = 0.040
MARGIN = 1.05
LEAST_BYTES = 1.0
PADDED_BYTES = 640_000
"""A first block that hands on no more than this only pads the picture (224 x 224 x 3 float32): no split, a leak."""
SPEEDS = (1.0, 3.0)


@dataclass(frozen=True)
class Rival:
    """What splitting is measured against; ``picture_bytes`` None where no picture may leave the device."""

    name: str
    picture_bytes: float | None


RIVALS = (
    Rival("device only, or 30 kB JPEG to the cloud", 30e3),
    Rival("device only, or 100 kB JPEG to the cloud", 100e3),
    Rival("device only, because the raw image may not leave", None),
)


@dataclass(frozen=True)
class Chain:
    """Seconds on the device before each split, in the cloud after it, and float32 bytes that cross there."""

    device_s: tuple[float, ...]
    cloud_s: tuple[float, ...]
    crossing_bytes: tuple[float, ...]

    @property
    def splits(self) -> range:
        """Real ones: something is on the device, something in the cloud, and what crosses is not the picture."""
        return range(2 if self.crossing_bytes[1] <= PADDED_BYTES else 1, len(self.device_s) - 1)


def chains(measured: Scission, device: str, cloud: str, faster: float) -> Iterator[Chain]:
    """Every model, the device ``faster`` times as fast as it was measured."""
    for blocks in measured.models.values():
        on_device = [block.seconds[device] / faster for block in blocks]
        in_cloud = [block.seconds[cloud] for block in blocks]
        cuts = range(len(blocks) + 1)
        yield Chain(
            tuple(sum(on_device[:k]) for k in cuts),
            tuple(sum(in_cloud[k:]) for k in cuts),
            (0.0, *(float(block.output_bytes) for block in blocks)),
        )


def step_s(chain: Chain, k: int, size_bytes: float, bandwidth_bps: float, objective: str) -> float:
    """Seconds a frame (latency), or between frames when device, link and cloud each work on one of their own."""
    last = len(chain.device_s) - 1
    send_s = size_bytes * 8 / bandwidth_bps if k < last else 0.0
    if objective == "latency":
        return chain.device_s[k] + chain.cloud_s[k] + (send_s + RTT_S if k < last else 0.0)
    return max(chain.device_s[k], send_s, chain.cloud_s[k])


def gain(chain: Chain, bandwidth_bps: float, rival: Rival, ratio: float, objective: str) -> float:
    """How many times better the best real split is than the best rival; below 1 where it is worse."""
    last = len(chain.device_s) - 1
    ends = [step_s(chain, last, 0, bandwidth_bps, objective)]
    if rival.picture_bytes is not None:
        ends.append(step_s(chain, 0, rival.picture_bytes, bandwidth_bps, objective))
    splits = [
        step_s(chain, k, max(LEAST_BYTES, chain.crossing_bytes[k] / ratio), bandwidth_bps, objective)
        for k in chain.splits
    ]
    return min(ends) / min(splits)


def wins(found: Sequence[Chain], rival: Rival, ratio: float, objective: str) -> list[float]:
    """The gains of all cells in which a real split wins."""
    cells = [gain(chain, bps, rival, ratio, objective) for chain in found for bps in BANDWIDTHS_BPS]
    return [cell for cell in cells if cell >= MARGIN]


def main() -> None:
    """Print the table in Markdown, or all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--ratio", type=float, action="append")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    measured = read_scission(args.data / "scission/raspi4_profiles.json")
    device = next(name for name in measured.platforms if measured.role(name) == "device")
    clouds = {name: text for name, text in measured.platforms.items() if measured.role(name) == "cloud"}
    cloud = next(name for name, text in clouds.items() if "gpu" in (name + text).lower())
    ratios = args.ratio or [4.0, 14.0]
    rows = []
    for rival in RIVALS:
        for objective in ("latency", "frames/s"):
            for speed in SPEEDS:
                found = list(chains(measured, device, cloud, speed))
                for ratio in ratios:
                    won = wins(found, rival, ratio, objective)
                    rows.append((rival.name, objective, speed, ratio, len(won), len(found) * len(BANDWIDTHS_BPS), won))
    if args.json:
        names = ("rival", "objective", "speed", "ratio", "wins", "cells", "gains")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    print(f"{len(measured.models)} models, {device} and {cloud}, {RTT_S * 1e3:g} ms round trip")
    print("\n| rival | objective | " + " | ".join(f"Pi ×{s:g}, fp32/{r:g}" for s in SPEEDS for r in ratios) + " |")
    print("| --- | --- |" + " --- |" * (len(SPEEDS) * len(ratios)))
    for start in range(0, len(rows), len(SPEEDS) * len(ratios)):
        some = rows[start : start + len(SPEEDS) * len(ratios)]
        print(f"| {some[0][0]} | {some[0][1]} | " + " | ".join(_cell(row[4], row[5], row[6]) for row in some) + " |")


def _cell(count: int, cells: int, won: Sequence[float]) -> str:
    gains = f", median {statistics.median(won):.1f} ×, up to {max(won):.1f} ×" if won else ""
    return f"{count} of {cells}{gains}"


if __name__ == "__main__":
    main()
