"""When does splitting pay, by the product's own plans and estimates?

    python -m benchmarks.win_map_plans PLAN ... [--pi-s 0.961 --of resnet50-random] [--profiles DIR] [--json FILE]

Stages are timed here on one thread: that is the cloud. The device is a Raspberry Pi 4 by its pace: Scission (UCC'20)
measured 0.961 s for ResNet-50, and every stage takes as many times as long as here. A cell is a plan at a bandwidth,
20 ms round trip; what crosses is uncoded, as plans without calibration send it, or as small as ``--max-drop`` admits
where the plan was calibrated. A win is a real split at least 5 % better than the better of its rivals. ``--profiles``
keeps the devices' profiles, so that `partway bench --device-profile` runs any cell for real.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line
from partway.engines.registry import engine_for
from partway.partitioner.decide.candidates import candidate_name, plan_candidates
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.shipped_objectives import latency_s, period_s
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.file import profile_to_json
from partway.partitioner.profile.measure import StageTimes, measure, sample_values

BANDWIDTHS_BPS = tuple(mbps * 1e6 for mbps in (0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 12, 20, 30, 50))
RTT_S = 0.02
MARGIN = 1.05
MEASURE_S = 6.0
KEPT, PICTURE = "the input may not leave", "30 kB JPEG to the cloud"
JPEG_BYTES = 30_000


@dataclass(frozen=True)
class Timed:
    """A plan with its stages' seconds here."""

    plan: Plan
    times: StageTimes


def timed(folder: Path) -> Timed:
    """Time a plan here."""
    plan, engine = load_plan(folder), engine_for(load_plan(folder).engine, 1)
    chain = load_folder(folder, plan, engine)
    return Timed(plan, measure(chain, sample_values(chain), MEASURE_S))


def write_profile(one: Timed, pace: float, folder: Path) -> None:
    """The profile of a device that is so many times as slow."""
    times, plan = one.times, one.plan
    slow = StageTimes(tuple(pace * seconds for seconds in times.stage_s), times.spread, times.runs, times.waited)
    profile = profile_to_json(slow, engine_for(plan.engine, 1), plan.digest, plan.model)
    (folder / f"{plan.model}.json").write_text(json.dumps(profile))


def cell(one: Timed, pace: float, bandwidth_bps: float, max_drop: float, kept: bool, objective: str) -> dict[str, Any]:
    """The best real split of a plan at a bandwidth, and how many times better than its rivals it is."""
    speeds = Speeds(tuple(pace * seconds for seconds in one.times.stage_s), one.times.stage_s)
    link = Link(bandwidth_bps, RTT_S)
    last = len(one.plan.stages)
    candidates = [candidate for candidate in plan_candidates(one.plan) if candidate.admitted(max_drop)]
    score = {candidate: _score(estimate(candidate, speeds, link), objective) for candidate in candidates}
    rivals = [score[candidate] for candidate in candidates if candidate.k == last]
    if not kept:
        rivals.append(_score(estimate(Candidate(0, "jpeg", JPEG_BYTES), speeds, link), objective))
    inner = [candidate for candidate in candidates if 0 < candidate.k < last]
    if not inner:
        return {"gain": 0.0, "best": None, "seconds": None, "rival_s": min(rivals)}
    best = min(inner, key=score.__getitem__)
    return {
        "gain": min(rivals) / score[best],
        "best": candidate_name(best, one.plan),
        "seconds": score[best],
        "rival_s": min(rivals),
    }


def _score(found: Estimate, objective: str) -> float:
    return latency_s(found) if objective == "latency" else period_s(found, RTT_S)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Gains by plan, rival and objective over the bandwidths, in Markdown; wins in bold."""
    head = " | ".join(f"{bps / 1e6:g}" for bps in BANDWIDTHS_BPS)
    lines = [f"| plan | rival beside the device alone | objective | {head} Mbps |"]
    lines.append("| --- | --- | --- |" + " --- |" * len(BANDWIDTHS_BPS))
    for row in rows:
        gains = [one["gain"] for one in row["cells"]]
        cells = " | ".join(f"**{gain:.1f}**" if gain >= MARGIN else f"{gain:.1f}" for gain in gains)
        lines.append(f"| {row['plan']} | {row['rival']} | {row['objective']} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("plans", nargs="+", type=Path)
    parser.add_argument("--pi-s", type=float, default=0.961)
    parser.add_argument("--of", default="resnet50-random", help="the plan that a Raspberry Pi 4 takes --pi-s for")
    parser.add_argument("--max-drop", type=float, default=0.0)
    parser.add_argument("--profiles", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = [timed(folder) for folder in args.plans]
    pace = args.pi_s / sum(next(one for one in found if one.plan.model == args.of).times.stage_s)
    if args.profiles is not None:
        args.profiles.mkdir(parents=True, exist_ok=True)
    rows = []
    for one in found:
        if args.profiles is not None:
            write_profile(one, pace, args.profiles)
        for kept in (True, False):
            for objective in ("latency", "frames/s"):
                cells = [cell(one, pace, bps, args.max_drop, kept, objective) for bps in BANDWIDTHS_BPS]
                rival = KEPT if kept else PICTURE
                rows.append({"plan": one.plan.model, "rival": rival, "objective": objective, "cells": cells})
    print(f"a device {pace:.1f} times as slow as this machine on one thread; {RTT_S * 1e3:g} ms round trip\n")
    print(table(rows))
    if args.json is not None:
        data = {"machine": machine_line("onnxruntime"), "pace": pace, "bandwidths_bps": BANDWIDTHS_BPS, "rows": rows}
        args.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
