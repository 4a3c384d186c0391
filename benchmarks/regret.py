"""Measure how much worse auto's choice is than the best candidate, by running all of them over emulated links.

Device (slowed down, engines/throttled.py), cloud and link (``partway link emulate``) are three processes; one frame at
a time, one photograph per cell. ``regret`` is the p50 of the chosen candidate over the best p50 measured, less one;
``within`` is the share of estimates (by the formula, never the trial frames) at most 10 % from the measured p50.

    python -m benchmarks.regret --input DIR [--models NAMES] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line
from benchmarks.models import export
from partway.partitioner.zoo import model_folder, sample_folder

MODELS = ("mnist", "squeezenet1_1", "shufflenet_v2_x1_0", "mobilenet_v2", "efficientnet_b0", "googlenet", "resnet18")
RATES = ("2Mbps", "8Mbps", "30Mbps", "100Mbps")
ROUND_TRIPS = ("10ms", "60ms")
SLOW = 15
"""ResNet-50 took a Raspberry Pi 4 0.961 s (Scission, UCC'20), and one thread of the machine of the results 0.064 s."""
MACHINE = machine_line("onnxruntime", "grpcio")
PARTWAY = (sys.executable, "-m", "partway")
Rows = list[dict[str, Any]]


def prepare_model(name: str, folder: Path, pictures: Path) -> Path:
    """The model's plan in ``folder/models``, its codecs measured on a few of the pictures."""
    target = folder / "models" / name
    if name == "mnist":
        target.symlink_to(model_folder(name))
        return target
    model = export(name, folder)
    options = (
        "--mean",
        "0.485,0.456,0.406",
        "--std",
        "0.229,0.224,0.225",
        "--calibrate",
        str(pictures),
        "--frames",
        "4",
    )
    subprocess.run(
        [*PARTWAY, "plan", str(model), "--out", str(target), *options], check=True, stdout=subprocess.DEVNULL
    )
    return target


def start_server(stack: ExitStack, *command: str) -> dict[str, Any]:
    """Start a server process; returns the JSON line it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    announced: dict[str, Any] = json.loads(process.stdout.readline())
    return announced


def cell(plan: Path, port: int, rate: str, rtt: str, picture: Path) -> Rows:
    """All candidates of a model over one link."""
    with ExitStack() as stack:
        where = ("--to", f"127.0.0.1:{port}", "--rate", rate, "--rtt", rtt, "--json")
        address = start_server(stack, "partway", "link", "emulate", *where)["address"]
        options = ("--model", str(plan), "--cloud", address, "--slow", str(SLOW), "--input", str(picture))
        command = [sys.executable, "-m", "benchmarks.regret_cell", *options]
        rows: Rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        return rows


def candidate_figures(rows: Rows) -> Rows:
    """A cell's saved figures: each candidate's estimate, trial time and measured time."""
    return [
        {
            "k": row["k"],
            "codec": row["codec"],
            "bytes": row["bytes"],
            "estimated_s": round(row["estimate"]["total_s"], 6),
            "trial_s": row["estimate"]["measured_s"] and round(row["estimate"]["measured_s"], 6),
            "p50_s": round(row["p50_s"], 6),
        }
        for row in rows
    ]


def cell_figures(rows: Rows) -> dict[str, Any]:
    """The summary figures of a cell."""
    chosen, best = next(row for row in rows if row["chosen"]), min(rows, key=lambda row: float(row["p50_s"]))
    errors = [row["estimate"]["total_s"] / row["p50_s"] - 1 for row in rows]
    return {
        "chosen": f"{chosen['k']} {chosen['codec'] or 'device'}",
        "chosen_s": chosen["p50_s"],
        "best": f"{best['k']} {best['codec'] or 'device'}",
        "best_s": best["p50_s"],
        "regret": chosen["p50_s"] / best["p50_s"] - 1,
        "estimates": len(rows),
        "within": sum(abs(error) <= 0.1 for error in errors),
        "worst": max(errors, key=abs),
    }


def table(cells: list[dict[str, Any]]) -> str:
    """One row per cell."""
    heads = ("model", "link", "chosen", "p50", "best", "p50", "regret", "estimates within ±10 %")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for c in cells:
        seconds = (f"{c[key] * 1e3:.1f} ms" for key in ("chosen_s", "best_s"))
        chosen_s, best_s = seconds
        share = f"{c['within']} of {c['estimates']}"
        link = f"{c['rate']}, {c['rtt']}"
        row = (c["model"], link, c["chosen"], chosen_s, c["best"], best_s, f"{c['regret'] * 100:.1f} %", share)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def summary(cells: list[dict[str, Any]]) -> str:
    """The figures that count."""
    regrets = sorted(c["regret"] for c in cells)
    p95 = regrets[min(len(regrets) - 1, round(0.95 * (len(regrets) - 1)))]
    within, total = (sum(c[key] for c in cells) for key in ("within", "estimates"))
    mean = statistics.mean(regrets)
    return (
        f"{len(cells)} cells: regret {mean * 100:.2f} % on average, {p95 * 100:.2f} % at the 95th percentile,"
        f" {regrets[-1] * 100:.2f} % at worst; {within} of {total} estimates ({within / total * 100:.1f} %) within"
        " ±10 % of the measured p50"
    )


def measure(
    selected: list[tuple[str, str, str]], pictures: Path, cells: list[dict[str, Any]], out: Path | None
) -> None:
    """Measure the selected cells that are missing, and save and print each when it is done."""
    files = sorted(path for path in pictures.iterdir() if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
    measured = {(c["model"], c["rate"], c["rtt"]) for c in cells}
    remaining = [key for key in selected if key not in measured]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "models").mkdir()
        plans = {
            name: prepare_model(name, folder, pictures) for name in dict.fromkeys(name for name, _, _ in remaining)
        }
        serve = ("partway.cloud", "--models", str(folder / "models"), "--grpc-port", "0", "--threads", "1", "--json")
        port = start_server(stack, *serve, "--no-advertise")["grpc_port"]
        for name, rate, rtt in remaining:
            samples = sample_folder(plans[name]) if name == "mnist" else None
            picture = sorted(samples.iterdir())[0] if samples else files[len(cells) % len(files)]
            rows = cell(plans[name], port, rate, rtt, picture)
            cells.append(
                {"model": name, "rate": rate, "rtt": rtt, **cell_figures(rows), "candidates": candidate_figures(rows)}
            )
            print(table(cells[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
            if out is not None:
                out.write_text(json.dumps({"machine": MACHINE, "slow": SLOW, "cells": cells}, indent=1) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--rates", default=",".join(RATES))
    parser.add_argument("--round-trips", default=",".join(ROUND_TRIPS))
    parser.add_argument("--json", type=Path, help="results; cells that are there already are not measured again")
    args = parser.parse_args()
    cells = json.loads(args.json.read_text())["cells"] if args.json and args.json.exists() else []
    selected = list(product(args.models.split(","), args.rates.split(","), args.round_trips.split(",")))
    measure(selected, args.input, cells, args.json)
    print(f"{table(cells)}\n\n{summary(cells)}\n\n{MACHINE}; device slowed {SLOW} times")


if __name__ == "__main__":
    main()
