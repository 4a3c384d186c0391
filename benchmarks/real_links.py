"""Auto against its rivals over shaped links, for real: device, cloud and link are processes, the device a Pi's pace.

Per model, rate and objective, once as it is and once with the raw input kept on the device: p50 of a frame one at a
time (latency), and frames per second with frames overlapping (throughput), of auto and of {device only, best JPEG or
WebP within the same accuracy budget, raw pixels to the cloud}. The device waits out a profile of this machine, SLOW
times.

    partway plan MODEL --out PLANS/NAME --calibrate PICTURES --max-drop 5         (for each model)
    partway profile PLANS/NAME --threads 1 --out PLANS/NAME/profile.json          (on an idle machine)
    python -m benchmarks.real_links --plans PLANS --input PICTURES --json FILE
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line
from benchmarks.regret import SLOW, start_server

RATES = ("0.25Mbps", "1Mbps", "4Mbps")
RTT = "40ms"
MAX_DROP = 5.0
OBJECTIVES = ("latency", "throughput")
SCORE = {"latency": "p50_s", "throughput": "frames_per_s"}
NEAR = 0.03
"""Smaller differences count as a draw."""
Key = tuple[str, str, str, bool]


def cell(plan: Path, address: str, objective: str, keep: bool, args: argparse.Namespace) -> dict[str, Any]:
    """The measured figures of auto and its rivals."""
    options = {"model": plan, "cloud": address, "profile": plan / "profile.json", "slow": args.slow}
    options |= {"input": args.input, "objective": objective, "max-drop": args.max_drop, "seconds": args.seconds}
    command = [sys.executable, "-m", "benchmarks.real_cell", *(f"--{key}={value}" for key, value in options.items())]
    finished = subprocess.run([*command, *(["--keep"] if keep else [])], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def verdict(row: dict[str, Any]) -> tuple[str, float]:
    """The best rival's name, and how many times as good as it auto was (above 1: better)."""
    score = SCORE[row["objective"]]
    rivals = {name: figures for name, figures in row["took"].items() if name != "auto"}
    best = (max if score == "frames_per_s" else min)(rivals, key=lambda name: float(rivals[name][score]))
    ratio = row["took"]["auto"][score] / rivals[best][score]
    return best, ratio if score == "frames_per_s" else 1 / ratio


def table(rows: list[dict[str, Any]]) -> str:
    """One line per cell."""
    heads = ("model", "link", "auto took", "auto", "device only", "best picture", "raw picture", "auto / best rival")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        figures, score = row["took"], SCORE[row["objective"]]
        values = [_show(figures[name][score], score) if name in figures else "-" for name in ("auto", "device")]
        picture = figures.get("picture")
        shown = f"{_rival(picture, score)} ({picture['name'].split(', ')[1]})" if picture else "-"
        raw = _rival(figures["raw"], score) if "raw" in figures else "-"
        model = f"{row['model']}{', input kept' if row['keep'] else ''}"
        columns = (model, row["rate"], figures["auto"]["name"], *values, shown, raw, f"{verdict(row)[1]:.2f} ×")
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def _rival(figures: dict[str, Any], score: str) -> str:
    """The figure of a rival that sends; a rival whose connection broke has none."""
    return _show(figures[score], score) if figures["by_cloud"] == figures["frames"] else "broke"


def _show(value: float, score: str) -> str:
    return f"{value * 1e3:.0f} ms" if score == "p50_s" else f"{value:.3g}/s"


def summary(rows: list[dict[str, Any]]) -> str:
    """How often auto won, drew and lost."""
    ratios = [verdict(row)[1] for row in rows]
    won, lost = sum(r > 1 + NEAR for r in ratios), sum(r < 1 - NEAR for r in ratios)
    return (
        f"{len(rows)} cells: auto better than every rival in {won} (up to {max(ratios):.2f} ×), as good as the best in"
        f" {len(rows) - won - lost}, worse in {lost} (at worst {min(ratios):.2f} ×)"
    )


def measure(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Measure the missing cells, and save each when it is done."""
    names = args.models.split(",") if args.models else sorted(p.parent.name for p in args.plans.glob("*/plan.json"))
    missing = [
        key
        for key in product(names, args.rates.split(","), args.objectives.split(","), (False, True))
        if key not in keys(rows)
    ]
    with ExitStack() as stack:
        serve = ("partway.cloud", "--models", str(args.plans), "--grpc-port", "0", "--threads", "1", "--json")
        port = start_server(stack, *serve, "--no-advertise")["grpc_port"]
        links: dict[str, str] = {}
        for name, rate, objective, keep in missing:
            if rate not in links:
                where = ("--to", f"127.0.0.1:{port}", "--rate", rate, "--rtt", RTT, "--json")
                links[rate] = start_server(stack, "partway", "link", "emulate", *where)["address"]
            figures = cell(args.plans / name, links[rate], objective, keep, args)
            rows.append({"model": name, "rate": rate, "objective": objective, "keep": keep, "took": figures})
            print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
            if args.json is not None:
                about = {"machine": machine_line("onnxruntime", "grpcio"), "slow": args.slow, "max_drop": args.max_drop}
                args.json.write_text(json.dumps({**about, "rtt": RTT, "cells": rows}, indent=1) + "\n")


def keys(rows: list[dict[str, Any]]) -> set[Key]:
    """The keys of the measured cells."""
    return {(row["model"], row["rate"], row["objective"], row["keep"]) for row in rows}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--plans", type=Path, required=True, help="a folder of plans, each with its profile.json")
    add("--input", type=Path, required=True, help="a folder of photographs")
    add("--models", help="of them, comma between (default: all)")
    add("--rates", default=",".join(RATES))
    add("--objectives", default=",".join(OBJECTIVES))
    add("--slow", type=int, default=SLOW)
    add("--max-drop", type=float, default=MAX_DROP)
    add("--seconds", type=float, default=6.0, help="for auto and each rival (default: %(default)g)")
    add("--json", type=Path, help="results; cells that are there already are not measured again")
    args = parser.parse_args()
    rows = json.loads(args.json.read_text())["cells"] if args.json and args.json.exists() else []
    measure(args, rows)
    for objective in OBJECTIVES:
        mine = sorted((row for row in rows if row["objective"] == objective), key=lambda row: row["keep"])
        if mine:
            print(f"{objective}\n\n{table(mine)}\n\n{summary(mine)}\n")


if __name__ == "__main__":
    main()
