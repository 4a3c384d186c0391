"""When does splitting pay? Measured Raspberry Pi 4 profiles, bandwidths from 0.25 to 50 Mbps, coded at measured ratios.

    python -m benchmarks.win_map [--data DIR] [--ratio 4 --ratio 16 ...] [--measured FILE] [--json FILE]

Times are Scission's own (Keras on a Raspberry Pi 4 and a GPU host); a ratio divides the bytes of float32 activations:
4 is int8 as it is. "Measured" is no one ratio but that of the cut: what benchmarks/rate_accuracy.py made of
MobileNetV2's activations after the same share of the model's time, at 98 % equal answers (straight lines between its
cuts, the nearest cut's beyond them). Nobody has these twelve networks' activations, so that is an assumption: one
network's ratios at the same depth of another. A cell is a model at a bandwidth. A win is a real split at least 5 %
better than the better of its rivals. Coding time is not counted: it is under a millisecond where a stage takes tens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rate_tables import chosen
from partway.partitioner.profile.scission_import import Scission, read_scission

BANDWIDTHS_BPS = tuple(mbps * 1e6 for mbps in (0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 12, 20, 30, 50))
RTT_S = 0.040
MARGIN = 1.05
LEAST_BYTES = 1.0
PADDED_BYTES = 640_000
"""A first block with no more output only pads the picture (224 x 224 x 3 float32); a cut there leaks the picture."""
SPEEDS = (1.0, 3.0)
LEAST = 0.98
"""The agreement at which ratios are measured."""
RESULTS = Path(__file__).parent / "results"
Ratio = Callable[[float], float]
"""From the share of the device's time before a cut to what the bytes of its float32 activations are divided by."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Rival:
    """The alternative to splitting; ``picture_bytes`` is None where no picture may leave the device."""

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

    def share(self, k: int) -> float:
        """Of the device's time for the whole model, before split k."""
        return self.device_s[k] / self.device_s[-1]


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


def gain(chain: Chain, bandwidth_bps: float, rival: Rival, ratio: Ratio, objective: str) -> float:
    """How many times better the best real split is than the best rival; below 1 where it is worse."""
    last = len(chain.device_s) - 1
    ends = [step_s(chain, last, 0, bandwidth_bps, objective)]
    if rival.picture_bytes is not None:
        ends.append(step_s(chain, 0, rival.picture_bytes, bandwidth_bps, objective))
    splits = [
        step_s(chain, k, max(LEAST_BYTES, chain.crossing_bytes[k] / ratio(chain.share(k))), bandwidth_bps, objective)
        for k in chain.splits
    ]
    return min(ends) / min(splits)


def gains(found: Sequence[Chain], rival: Rival, ratio: Ratio, objective: str) -> list[list[float]]:
    """Of every cell: [bandwidth][model]."""
    return [[round(gain(chain, bps, rival, ratio, objective), 4) for chain in found] for bps in BANDWIDTHS_BPS]


def always(ratio: float) -> Ratio:
    """The same at every cut."""
    return lambda _: ratio


def measured_points(file: Path) -> list[tuple[float, float, str]]:
    """Of MobileNetV2's cuts: share of its time before them, ratio to float32, codecs; both ways round."""
    rows = json.loads(file.read_text())["cases"]["mobilenet"]["rows"]
    points = []
    for k in sorted({row["k"] for row in rows} - {0}):
        mine = [row for row in rows if row["k"] == k]
        both = [row for row in (chosen([r for r in mine if r["way"] == way], LEAST) for way in (0, 1)) if row]
        size = statistics.fmean(row["bytes_mean"] for row in both)
        names = " / ".join(dict.fromkeys(row["codec"] for row in both))
        float32_bytes = 4 * next(row["bytes_mean"] for row in mine if row["codec"] == "raw")  # of int8
        points.append((float(mine[0]["share"]), float32_bytes / size, names))
    return sorted(points)


def between(points: Sequence[tuple[float, float, str]]) -> Ratio:
    """Straight lines between measured cuts, the nearest one's ratio beyond them."""
    shares, ratios = [point[0] for point in points], [point[1] for point in points]
    return lambda share: float(np.interp(share, shares, ratios))


def main() -> None:
    """Print the tables in Markdown, write all gains as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--ratio", type=float, action="append")
    parser.add_argument("--measured", type=Path, default=RESULTS / "rate_accuracy.json")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    measured = read_scission(args.data / "scission/raspi4_profiles.json")
    device = next(name for name in measured.platforms if measured.role(name) == "device")
    clouds = {name: text for name, text in measured.platforms.items() if measured.role(name) == "cloud"}
    cloud = next(name for name, text in clouds.items() if "gpu" in (name + text).lower())
    points = measured_points(args.measured)
    ratios: dict[str, Ratio] = {f"fp32/{ratio:g}": always(ratio) for ratio in args.ratio or [4.0, 16.0]}
    ratios["measured"] = between(points)
    rows = []
    for rival in RIVALS:
        for objective in ("latency", "frames/s"):
            for speed in SPEEDS:
                found = list(chains(measured, device, cloud, speed))
                for name, ratio in ratios.items():
                    cells = gains(found, rival, ratio, objective)
                    rows.append(
                        {"rival": rival.name, "objective": objective, "speed": speed, "ratio": name, "gains": cells}
                    )
    cells = len(measured.models) * len(BANDWIDTHS_BPS)
    print(f"{len(measured.models)} models, {device} and {cloud}, {RTT_S * 1e3:g} ms round trip: {cells} cells")
    print("measured: " + ", ".join(f"{share:.0%} of the time {ratio:.1f} ({codec})" for share, ratio, codec in points))
    print("\n" + win_table(rows, list(ratios)) + "\n\n" + by_bandwidth([r for r in rows if r["ratio"] == "measured"]))
    if args.json:
        data = {"models": list(measured.models), "bandwidths_bps": BANDWIDTHS_BPS, "measured": points, "rows": rows}
        args.json.write_text(json.dumps(data, default=float) + "\n")


def win_table(rows: Sequence[Row], ratios: Sequence[str]) -> str:
    """Wins of every rival, objective, speed and ratio."""
    lines = [
        "| rival | objective | device | " + " | ".join(ratios) + " |",
        "| --- | --- | --- |" + " --- |" * len(ratios),
    ]
    for start in range(0, len(rows), len(ratios)):
        some = rows[start : start + len(ratios)]
        first = some[0]
        cells = " | ".join(_cell([g for line in row["gains"] for g in line]) for row in some)
        lines.append(f"| {first['rival']} | {first['objective']} | Pi ×{first['speed']:g} | {cells} |")
    return "\n".join(lines)


def by_bandwidth(rows: Sequence[Row]) -> str:
    """How many models win at each bandwidth."""
    head = " | ".join(f"{bps / 1e6:g}" for bps in BANDWIDTHS_BPS)
    lines = [f"| rival | objective | device | {head} Mbps |", "| --- | --- | --- |" + " --- |" * len(BANDWIDTHS_BPS)]
    for row in rows:
        won = " | ".join(str(sum(g >= MARGIN for g in line)) for line in row["gains"])
        lines.append(f"| {row['rival']} | {row['objective']} | Pi ×{row['speed']:g} | {won} |")
    return "\n".join(lines)


def _cell(cells: Sequence[float]) -> str:
    won = [cell for cell in cells if cell >= MARGIN]
    return f"{len(won)}" + (f", median {statistics.median(won):.1f} ×, up to {max(won):.1f} ×" if won else "")


if __name__ == "__main__":
    main()
