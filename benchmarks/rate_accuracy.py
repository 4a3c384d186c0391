"""Bytes per frame against agreement: every cut with every codec, and JPEG and WebP at many qualities.

    python -m benchmarks.rate_accuracy [--data DIR] [--picture docs/rate_accuracy.png] [--json FILE] [mobilenet ...]
    python -m benchmarks.rate_accuracy --again benchmarks/results/rate_accuracy.json [--picture docs/rate_accuracy.png]

Pictures are drawn into two halves by a fixed seed. Codecs are fitted and chosen on one half, JPEG's and WebP's quality
chosen as well, and every figure is of the other half; then the other way round.
Bytes are those of the coded tensor, its header included; tables and bases are in the plan, not in the frame.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine_line
from benchmarks.rate_cases import CASES, Case
from benchmarks.rate_shares import builtin_shares, shares
from benchmarks.rate_tables import Result, choices, lossy_picture, reach, shape, splits
from benchmarks.rate_tables import time as time_before
from partway.partitioner.calibrate.accuracy import CalibrationFrame, measure_codec, unsplit_answers
from partway.partitioner.calibrate.run import CodecCalibration, Notes
from partway.proto.codecs.registry import Codebook
from partway.proto.codecs.transform.codebook import codebook

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
QUALITIES = (100, 98, 95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10)
PICTURES = ("u8", "png", "webp-lossless", *(f"{f}{q}" for f in ("jpeg", "webp") for q in QUALITIES))


def rows_of(case: Case) -> list[Row]:
    """One row per (way round, split, codec), of the half that nothing was fitted to; ``chosen_on`` is of the other."""
    with tempfile.TemporaryDirectory() as folder:
        share, builtin = shares(case, Path(folder)), builtin_shares(case, Path(folder))
    found: list[Row] = []
    for way, (fitted_on, tested_on) in enumerate((case.halves, case.halves[::-1])):
        work = CodecCalibration(
            case.chain, case.preprocess, fitted_on, Notes(None, ""), True, pruned=False, last_stage=case.last_stage
        )
        for what, _, _ in work.steps():
            if sys.stdout.isatty():
                print(f"  {case.name}: {what}        ", end="\r", flush=True)
        book = codebook(work.codecs)
        chosen_on = {(int(entry["k"]), str(entry["codec"])): entry for entry in work.entries}
        more = {(0, picture) for picture in PICTURES if case.preprocess is not None} - chosen_on.keys()
        chosen_on |= {(row["k"], row["codec"]): row for row in measured(case, fitted_on, more, book)}
        for row in measured(case, tested_on, chosen_on.keys(), book):
            here = (row["k"], row["codec"])
            before = {"share": share[row["k"]], "share_builtin": builtin and builtin[row["k"]]}
            found.append(
                {**row, "what": shape(case.chain.plan, row["k"]), "way": way, **before, "chosen_on": chosen_on[here]}
            )
    return found


def measured(
    case: Case, frames: Sequence[CalibrationFrame], selected: Collection[tuple[int, str]], book: Codebook
) -> Iterator[Row]:
    """Measure the selected codecs on these frames."""
    unsplit = unsplit_answers(case.chain, frames, case.last_stage)
    lives: list[Mapping[str, Array]] = [frame.values for frame in frames]
    for k in range(len(case.chain.plan.stages)):
        lives = [case.chain.run(live, k - 1, k) for live in lives] if k else lives
        for _, codec in sorted(one for one in selected if one[0] == k):
            yield measure_codec(case.chain, case.preprocess, unsplit, lives, k, codec, book, case.last_stage)


def draw(results: Collection[Result], path: Path) -> None:
    """Agreement and top-1 over bytes, one row of panels per model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(results), 2, figsize=(11, 4.5 * len(results)), squeeze=False)
    for line, result in zip(panels, results, strict=True):
        for axes, what in zip(line, ("agreement", "accuracy"), strict=True):
            _curves(axes, result, what)
        line[1].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _curves(axes: Any, result: Result, what: str) -> None:
    rows = result["rows"]
    families = [("JPEG", 0, "jpeg", "--"), ("WebP", 0, "webp", ":")]
    for k in splits(rows)[1:]:
        first = next(row for row in rows if row["k"] == k)
        families.append((f"{first['what']}, {time_before(first)}", k, "", "-"))
    for label, k, begins, style in families:
        mine = [r for r in rows if r["k"] == k and r["codec"].startswith(begins) and (k or lossy_picture(r))]
        points = frontier([both_ways(mine, codec, what) for codec in dict.fromkeys(r["codec"] for r in mine)])
        if points:
            axes.plot(*zip(*points, strict=True), style, marker="o", markersize=3, linewidth=1.2, label=label)
    unsplit = 1.0 if what == "agreement" else float(np.mean([row["accuracy_unsplit"] for row in rows]))
    axes.axhline(unsplit, color="black", linewidth=0.6)
    axes.set_xscale("log")
    axes.set_ylim(unsplit - 0.2, unsplit + 0.02)
    axes.set_xlabel("bytes a frame, mean")
    axes.set_ylabel({"agreement": "answers equal to the unsplit model", "accuracy": "top-1"}[what])
    axes.set_title(result["name"], fontsize=9)
    axes.grid(alpha=0.3)


def both_ways(rows: Sequence[Row], codec: str, what: str) -> tuple[float, float]:
    """Bytes and a share of one codec, mean over both ways round."""
    mine = [row for row in rows if row["codec"] == codec]
    return float(np.mean([row["bytes_mean"] for row in mine])), float(np.mean([row[what] for row in mine]))


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no smaller one matches."""
    found: list[tuple[float, float]] = []
    for size, share in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or share > found[-1][1]:
            found.append((size, share))
    return found


def _short(row: Row) -> Row:
    """The row with five digits per number, and only the differing fields of the half it was fitted to."""
    fields = ("bytes_mean", "agreement", "agreement_expected", "accuracy")
    inner = {k: v for k, v in row["chosen_on"].items() if k in fields}
    return _rounded({**row, "chosen_on": _rounded(inner)})


def _rounded(entry: Row) -> Row:
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in entry.items()}


def main() -> None:
    """Measure, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", metavar="|".join(CASES))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PARTWAY_DATA", "../shared/data")))
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--again", type=Path, metavar="FILE", help="print and draw what --json wrote")
    parser.add_argument("--shares", action="store_true", help="measure the time before each cut again")
    args = parser.parse_args()
    if args.again:
        data = json.loads(args.again.read_text())
        for name, result in data["cases"].items():
            if args.shares:
                timed_again(CASES[name], args.data, result["rows"])
            show(result)
    else:
        with tempfile.TemporaryDirectory() as folder:
            cases = {}
            for name in args.cases or CASES:
                case = CASES[name](args.data, Path(folder, name))
                inputs = sum(len(half) for half in case.halves)
                cases[name] = {"name": case.name, "inputs": inputs, "rows": [_short(row) for row in rows_of(case)]}
                show(cases[name])
        data = {"machine": machine_line("numpy", "onnxruntime", "ai-edge-litert", "pillow"), "cases": cases}
    print(data["machine"])
    if args.json:
        args.json.write_text(json.dumps(data, separators=(",", ":")) + "\n")
    if args.picture:
        draw(data["cases"].values(), args.picture)


def timed_again(make: Callable[[Path, Path], Case], data: Path, rows: Sequence[Row]) -> None:
    """The rows with their shares of time measured again."""
    with tempfile.TemporaryDirectory() as folder:
        case = make(data, Path(folder, "case"))
        share, builtin = shares(case, Path(folder)), builtin_shares(case, Path(folder))
    for row in rows:
        row["share"] = round(share[row["k"]], 5)
        row["share_builtin"] = builtin and round(builtin[row["k"]], 5)


def show(result: Result) -> None:
    """Print the tables of one model."""
    print("\n" + choices(result) + "\n\n" + reach(result) + "\n", flush=True)


if __name__ == "__main__":
    main()
