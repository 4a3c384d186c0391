"""Compare auto on recorded links with the best static candidates in hindsight, and with a clairvoyant.

Real replays (``partway bench``: device, link and cloud are processes) of auto and of the best static candidates; those
are found by replaying every candidate in virtual time (benchmarks/virtual.py), where the clairvoyant runs, too: once a
second it takes the candidate that is best over the second to come. How far virtual replays are from real ones is in the
table. One frame at a time, as fast as they are answered. A static candidate is what ``--split K --codec NAME`` does:
frames that are overdue are finished on the device.

    python -m benchmarks.traces --plans PLANS --traces DIR --input PICTURES --json FILE     (PLANS as in real_links)

With ``--virtual`` whole traces, minutes each, in virtual time only: all candidates, auto and the clairvoyant.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line
from benchmarks.virtual import Replay, Road, World, clairvoyant, estimates_of, mean_s, static
from partway.edge.emulator.shaper import read_trace
from partway.partitioner.decide.estimate import Candidate, Link
from partway.partitioner.plan.plan_file import load_plan
from partway.units import parse_s

CASES = ("efficientnet_lite2:15:5", "efficientnet_lite2:30:1", "resnet50:15:10")
RTT = "40ms"
STATICS = 2
THEORY = "mobilenet_v2_int8:60:5,efficientnet_lite2:15:1,efficientnet_lite2:30:5,resnet50:15:5"
RESCUED = 12
"""The number of best static candidates without rescue that are also tried with it."""
MOST_BYTES = 200_000
"""Candidates that send more are not replayed: they are best on no trace."""


def world_of(report: dict[str, Any], plan: Path, trace: Path) -> World:
    """The simulated world of a decision's report over the same trace."""
    link = Link(report["link_found"]["bandwidth_bps"], report["link_found"]["rtt_s"])
    road = Road(read_trace(trace), read_trace(trace), parse_s(RTT))
    return World(estimates_of(report["decision"]), load_plan(plan), road, link)


def ranked_statics(simulated: World, seconds: float) -> list[tuple[float, Candidate]]:
    """Every static candidate's mean in virtual time, best first."""
    small = [c for c in simulated.estimates if c.size_bytes <= MOST_BYTES]
    return sorted(((mean_s(list(static(simulated, c, seconds))), c) for c in small), key=lambda pair: pair[0])


def start_replay(case: str, trace: Path, seconds: float, out: Path, args: argparse.Namespace, *more: str) -> Any:
    """Start a real replay in a process of its own."""
    name, slow, drop = case.split(":")
    plan = args.plans / name
    command = [sys.executable, "-m", "partway", "bench", str(plan), "--trace", str(trace), "--rtt", RTT]
    command += ["--seconds", str(seconds), "--device-profile", str(plan / "profile.json"), "--slow", slow]
    command += ["--max-drop", drop, "--input", str(args.input), "--json", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_all(processes: list[Any]) -> None:
    """Wait for all processes. Raises RuntimeError when one failed."""
    codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError("a replay failed; run `partway bench` by hand to see why")


def fixed_options(candidate: Candidate) -> tuple[str, ...]:
    """The options that fix the candidate."""
    return ("--split", str(candidate.k), *(("--codec", candidate.codec) if candidate.codec else ()))


def candidate_label(candidate: Candidate, stages: int) -> str:
    """The candidate in short form."""
    where = {0: "cloud", stages: "device"}.get(candidate.k, f"split {candidate.k}")
    return where if candidate.codec is None else f"{where}, {candidate.codec}"


def cell_figures(case: str, trace: Path, autos: list[dict[str, Any]], statics: list[dict[str, Any]], plan: Path) -> Any:
    """The figures of a cell: real measurements, virtual replays, and the shortest time between two changes."""
    report, seconds = autos[0], autos[0]["asked"]["seconds"]
    simulated = world_of(report, plan, trace)
    virtual = mean_s(list(Replay(simulated).frames(seconds)))
    best = min(statics, key=lambda one: float(one["summary"]["mean_s"]))
    stages = report["decision"]["stages"]
    rows = ranked_statics(simulated, seconds)
    by_name = {candidate_label(c, stages): mean for mean, c in rows}
    moments = [frame["at_s"] - frame["total_s"] for frame in report["frames"]]  # begun
    changed = [moments[min(change["frame"], len(moments) - 1)] for change in report["changes"]]
    name, slow, drop = case.split(":")
    return {
        "model": name,
        "slow": int(slow),
        "max_drop": float(drop),
        "trace": trace.name,
        "seconds": seconds,
        "auto_s": report["summary"]["mean_s"],
        "changes": len(report["changes"]),
        "least_between_changes_s": min((b - a for a, b in pairwise(changed)), default=None),
        "statics": {one["name"]: one["summary"]["mean_s"] for one in statics},
        "best_static": best["name"],
        "best_static_s": best["summary"]["mean_s"],
        "clairvoyant_s": mean_s(list(clairvoyant(simulated, seconds))),
        "virtual": {"auto_s": virtual, **{one["name"]: by_name.get(one["name"]) for one in statics}},
    }


def cell(case: str, trace: Path, seconds: float, args: argparse.Namespace, folder: Path) -> Any:
    """Two functions: start the real replays, and read their figures when they are done."""
    name, _, _ = case.split(":")
    plan, first = args.plans / name, folder / f"{case}.json"
    wait_for_all([start_replay(case, trace, 1.0, first, args)])
    simulated = world_of(json.loads(first.read_text()), plan, trace)
    chosen = [candidate for _, candidate in ranked_statics(simulated, seconds)[:STATICS]]
    outs = [folder / f"{case}-{trace.stem}-{index}.json" for index in range(len(chosen) + 1)]
    more = [(), *(fixed_options(candidate) for candidate in chosen)]

    def run() -> list[Any]:
        return [
            start_replay(case, trace, seconds, out, args, *options) for out, options in zip(outs, more, strict=True)
        ]

    def judge() -> Any:
        auto, *rest = (json.loads(out.read_text()) for out in outs)
        names = [candidate_label(candidate, auto["decision"]["stages"]) for candidate in chosen]
        statics = [{**one, "name": name} for one, name in zip(rest, names, strict=True)]
        return cell_figures(case, trace, [auto], statics, plan)

    return run, judge


def virtual_cell(case: str, trace: Path, seconds: float, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A cell of ``--virtual``: means over the trace, and the best static candidates with and without rescue."""
    name, slow, drop = case.split(":")
    first = folder / f"{case}.json"
    if not first.exists():
        wait_for_all([start_replay(case, trace, 1.0, first, args)])
    simulated = world_of(json.loads(first.read_text()), args.plans / name, trace)
    seconds = min(seconds, int(trace.read_text().split()[-1]) / 1e3)
    found: dict[str, Any] = {}
    small = [c for c in simulated.estimates if c.size_bytes <= MOST_BYTES]
    for key, rescued in (("stubborn", False), ("static", True)):
        means = [(mean_s(list(static(simulated, c, seconds, rescued))), c) for c in small]
        mean, best = min(means, key=lambda pair: pair[0])
        found |= {f"{key}_s": mean, key: candidate_label(best, len(simulated.plan.stages))}
        small = [c for _, c in sorted(means, key=lambda pair: pair[0])[:RESCUED]]
    replay = Replay(simulated)
    auto = list(replay.frames(seconds))
    about = {"model": name, "slow": int(slow), "max_drop": float(drop), "trace": trace.name, "seconds": seconds}
    more = {"auto_s": mean_s(auto), "clairvoyant_s": mean_s(list(clairvoyant(simulated, seconds)))}
    return {**about, **found, **more, "frames": len(auto), "changes": len(replay.controller.changes)}


def theory_table(rows: list[dict[str, Any]]) -> str:
    """One line per model and trace."""
    heads = ("model", "device", "trace", "auto", "best static", "clairvoyant", "auto / static", "auto / clairvoyant")
    lines = [f"| {' | '.join((*heads, 'changes a minute'))} |", "|" + " --- |" * 9]
    for row in rows:
        auto, ahead, best = row["auto_s"], row["clairvoyant_s"], min(row["static_s"], row["stubborn_s"])
        name = row["static"] if best == row["static_s"] else f"{row['stubborn']}, no way back"
        model = f"{row['model']}, --max-drop {row['max_drop']:g}"
        shown = (f"{auto * 1e3:.0f} ms", f"{best * 1e3:.0f} ms ({name})", f"{ahead * 1e3:.0f} ms")
        ratios = (f"{auto / best:.2f}", f"{auto / ahead:.2f}", f"{row['changes'] / row['seconds'] * 60:.1f}")
        lines.append(f"| {' | '.join((model, str(row['slow']) + ' ×', row['trace'], *shown, *ratios))} |")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> str:
    """One line per model and trace."""
    heads = ("model", "device", "trace", "auto", "best static", "auto / static", "virtual: auto / clairvoyant")
    heads += ("virtual: clairvoyant / static", "changes")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        auto, best, ahead = row["auto_s"], row["best_static_s"], row["clairvoyant_s"]
        virtual = dict(row["virtual"])
        virtual_auto, virtual_static = virtual.pop("auto_s"), min(filter(None, virtual.values()))
        shown = (f"{auto * 1e3:.0f} ms", f"{best * 1e3:.0f} ms ({row['best_static']})", f"{auto / best:.2f}")
        ratios = (f"{virtual_auto / ahead:.2f}", f"{ahead / virtual_static:.2f}")
        model, device = f"{row['model']}, --max-drop {row['max_drop']:g}", f"{row['slow']} ×"
        columns = (model, device, row["trace"], *shown, *ratios, str(row["changes"]))
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def summary(rows: list[dict[str, Any]]) -> str:
    """The difference between virtual and real replays."""
    pairs = [(row["virtual"]["auto_s"], row["auto_s"]) for row in rows]
    pairs += [(row["virtual"][name], mean) for row in rows for name, mean in row["statics"].items()]
    off = sorted(abs(virtual / real - 1) for virtual, real in pairs if virtual)
    median, worst = off[len(off) // 2], off[-1]
    return f"Virtual replays differ from the {len(off)} real ones by {median:.1%} (median), {worst:.1%} at most."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--plans", type=Path, required=True, help="a folder of plans, each with its profile.json")
    add("--traces", type=Path, required=True, help="a folder of traces, or one of them")
    add("--input", type=Path, required=True, help="a folder of photographs")
    add("--cases", help=f"MODEL:SLOW:MAX_DROP, comma between (default: {','.join(CASES)}; --virtual: {THEORY})")
    add("--seconds", type=float, default=140.0, help="of each trace, from its beginning (default: %(default)g)")
    add("--virtual", action="store_true", help="whole traces in virtual time")
    add("--json", type=Path, help="results; cells that are there already are not measured again")
    args = parser.parse_args()
    logging.getLogger("partway.edge").setLevel(logging.ERROR)  # of changes in virtual time
    traces = sorted(args.traces.glob("*.up")) if args.traces.is_dir() else [args.traces]
    about = {"machine": machine_line("onnxruntime", "grpcio"), "rtt": RTT}
    if args.virtual:
        cases = (args.cases or THEORY).split(",")
        with tempfile.TemporaryDirectory() as folder:
            found = [virtual_cell(case, trace, inf, args, Path(folder)) for case in cases for trace in traces]
        if args.json is not None:
            args.json.write_text(json.dumps({**about, "cells": found}, indent=1) + "\n")
        print(theory_table(found))
        return
    rows = json.loads(args.json.read_text())["cells"] if args.json and args.json.exists() else []
    measured = {(f"{r['model']}:{r['slow']}:{r['max_drop']:g}", r["trace"]) for r in rows}
    for trace in traces:
        selected = (args.cases or ",".join(CASES)).split(",")
        cases = [case for case in selected if (case, trace.name) not in measured]
        with tempfile.TemporaryDirectory() as folder:
            cells = [cell(case, trace, args.seconds, args, Path(folder)) for case in cases]
            for run, judge in cells:
                wait_for_all(run())
                rows.append(judge())
        if args.json is not None:
            args.json.write_text(json.dumps({**about, "cells": rows}, indent=1) + "\n")
    print(f"{table(rows)}\n\n{summary(rows)}")


if __name__ == "__main__":
    main()
