"""``partway calibrate``, and what ``partway profile --predict`` writes: what a machine that is not here would take."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.errors import InputError, mapped
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan, read_stage
from partway.partitioner.profile.file import (
    FORMAT,
    OVERHEAD,
    Predicted,
    Profile,
    check_stages,
    read_profile,
    save_profile,
)
from partway.partitioner.profile.fused_groups import MeasuredModel, measured_groups
from partway.partitioner.profile.predict import (
    Calibration,
    calibrate,
    calibration_from_json,
    calibration_to_json,
    predict,
)
from partway.partitioner.slicing import read_graph

SAME = ("machine", "engine", "engine_version", "threads")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway calibrate``."""
    add = parser.add_argument
    add("profiles", type=Path, nargs="+", metavar="PROFILE", help="profiles with operators, all of one machine")
    add("--models", type=Path, nargs="+", required=True, metavar="DIR", help="plans they are of, or folders of such")
    add("--out", type=Path, required=True, metavar="FILE.json", help="where the calibration goes")
    add("--json", action="store_true", help="print it as well")


def run(args: argparse.Namespace) -> int:
    """Fit, tell the error by leaving out each model in turn, and write it all."""
    plans = _plans(args.models)
    seen: list[tuple[MeasuredModel, Sequence[Graph]]] = []
    about: dict[str, Any] = {}
    for path in args.profiles:
        data = _read(path, "profile")
        profile = read_profile(data)
        mine = {key: data.get(key) for key in SAME}
        if about and mine != about:
            other = next(key for key in SAME if mine[key] != about[key])
            raise InputError(
                f"profile {path} is of another {other} ({mine[other]}, not {about[other]}); calibrate each by itself"
            )
        about = mine
        seen.append(_joined(path, profile, plans))
    made = calibrate(seen, {**about, "date": datetime.date.today().isoformat()})
    calibration = calibration_to_json(made)
    save_profile(args.out, calibration)
    if args.json:
        print(json.dumps(calibration))
    else:
        _print(made)
    return 0


def predicted_profile(path: Path, plan: Plan, folder: Path) -> dict[str, Any]:
    """The JSON of the profile that the calibrated machine would have of a plan, marked as predicted.

    Raises InputError when the calibration cannot be read or is of another engine than the plan.
    """
    made = calibration_from_json(_read(path, "calibration"))
    if plan.engine != made.about["engine"]:
        raise InputError(f"{path} was measured with engine {made.about['engine']}, the plan is for {plan.engine}")
    found = predict(made.regression, _graphs(plan, folder))
    operators = [
        {"name": group.name, "kind": group.kind.split()[0], "stage": group.stage, "time_s": seconds}
        for group, seconds in found.groups
    ]
    rest = [
        {"name": None, "kind": OVERHEAD, "stage": stage, "time_s": rest_s, "calls": 0}
        for stage, rest_s in enumerate(found.rest_s)
    ]
    error = made.total
    return {
        "format": FORMAT,
        "plan": plan.digest,
        "model": plan.model,
        **made.about,
        "date": datetime.date.today().isoformat(),
        "stage_s": list(found.stage_s),
        "operators": [*operators, *rest],
        "predicted": Predicted(path.name, error.p90, error.median, error.count, found.strange).to_json(),
    }


def _plans(folders: Iterable[Path]) -> dict[str, tuple[Plan, Path]]:
    found = {}
    for folder in folders:
        for path in (folder, *sorted(folder.glob("*"))):
            if (path / PLAN_FILE).is_file():
                plan = load_plan(path)
                found[plan.digest] = (plan, path)
    if not found:
        raise InputError(f"there is no plan in {', '.join(map(str, folders))}; give the folders of `partway plan`")
    return found


def _joined(
    path: Path, profile: Profile, plans: Mapping[str, tuple[Plan, Path]]
) -> tuple[MeasuredModel, Sequence[Graph]]:
    if not profile.operators:
        raise InputError(f"profile {path} has no operators; make it again with `partway profile --operators`")
    if profile.predicted is not None:
        raise InputError(f"profile {path} is itself predicted; calibrate with measured ones")
    if profile.plan not in plans:
        raise InputError(f"the plan that profile {path} is of is not among --models; add its folder")
    plan, folder = plans[profile.plan]
    check_stages(profile, len(plan.stages))
    graphs = _graphs(plan, folder)
    return measured_groups(plan.model, graphs, profile.stage_s, profile.operators), graphs


def _graphs(plan: Plan, folder: Path) -> list[Graph]:
    graphs = []
    for stage in plan.stages:
        read_stage(folder, stage)
        sizes = {spec.name: spec.shape for spec in stage.inputs}
        graphs.append(read_graph(folder / stage.file, sizes))
    return graphs


def _read(path: Path, what: str) -> Mapping[str, Any]:
    with mapped({OSError: InputError, ValueError: InputError, RecursionError: InputError}, f"{what} {path}"):
        data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, Mapping):
        raise InputError(f"{path} is no {what} (no JSON object)")
    return data


def _print(made: Calibration) -> None:
    console = Console(highlight=False)
    table = Table(title=f"{made.about['machine']}: error for models left out", title_justify="left")
    for column in ("operators", "points", "median", "p90"):
        table.add_column(column, justify="left" if column == "operators" else "right")
    for kind, errors in sorted(made.operators.items(), key=lambda item: -item[1].count):
        name = kind if kind in made.regression.kinds else f"{kind} (as all kinds)"
        table.add_row(name, str(errors.count), f"{errors.median:.0%}", f"{errors.p90:.0%}")
    console.print(table)
    for model, error in made.models.items():
        console.print(f"{model}: {error:+.0%}", markup=False)
    console.print(
        f"whole models: half within ±{made.total.median:.0%}, nine in ten within ±{made.total.p90:.0%}", markup=False
    )
