"""``partway calibrate`` and ``partway profile --predict``: what a machine that is not here would take."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.partitioner.calibration import (
    Calibration,
    Errors,
    calibrate,
    calibration_from_json,
    calibration_to_json,
    predict,
)
from partway.partitioner.graph import Graph
from partway.partitioner.op_groups import Measured, measured
from partway.partitioner.plan import PLAN_FILE, Plan, load_plan, read_stage
from partway.partitioner.profile import stage_seconds
from partway.partitioner.slicing import read_graph
from partway.partitioner.zoo import model_folder
from partway.proto.errors import InputError, mapped
from partway.proto.units import show_s

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
    seen: list[tuple[Measured, Sequence[Graph]]] = []
    about: dict[str, Any] = {}
    for path in args.profiles:
        profile = _read(path, "profile")
        mine = {key: profile.get(key) for key in SAME}
        if about and mine != about:
            other = next(key for key in SAME if mine[key] != about[key])
            raise InputError(
                f"profile {path} is of another {other} ({mine[other]}, not {about[other]}); calibrate each by itself"
            )
        about = mine
        seen.append(_joined(path, profile, plans))
    made = calibrate(seen, {**about, "date": datetime.date.today().isoformat()})
    data = calibration_to_json(made)
    _write(args.out, data)
    if args.json:
        print(json.dumps(data))
    else:
        _print(made)
    return 0


def run_predict(args: argparse.Namespace) -> int:
    """Write the profile that the calibrated machine would have of a plan, marked as predicted."""
    made = calibration_from_json(_read(args.predict, "calibration"))
    folder = model_folder(args.model)
    plan = load_plan(folder)
    if plan.engine != made.about["engine"]:
        raise InputError(
            f"{args.predict} was measured with engine {made.about['engine']}, the plan is for {plan.engine}"
        )
    found = predict(made.regression, _graphs(plan, folder))
    profile = {
        "format": 1,
        "plan": plan.digest,
        "model": plan.model,
        **made.about,
        "date": datetime.date.today().isoformat(),
        "stage_s": list(found.stage_s),
        "operators": [
            {"name": group.name, "kind": group.kind.split()[0], "stage": group.stage, "time_s": seconds}
            for group, seconds in found.groups
        ],
        "predicted": {
            "from": args.predict.name,
            "error": made.total.p90,
            "median_error": made.total.median,
            "models": made.total.count,
            "strange": found.strange,
        },
    }
    for k, seconds in enumerate(found.stage_s):
        print(f"stage {k:<10} ~{show_s(seconds)}")
    print(f"whole model ~{show_s(sum(found.stage_s))} on {made.about['machine']}, {_said(made.total)}")
    if found.strange > 0.1:
        print(f"{found.strange:.0%} of that is operators of a kind or size that the calibration has not seen")
    if args.out is not None:
        _write(args.out, profile)
    return 0


def _said(total: Errors) -> str:
    return (
        f"predicted, ±{total.p90:.0%} (nine in ten of {total.count} models that were left out; half within"
        f" ±{total.median:.0%})"
    )


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
    path: Path, profile: Mapping[str, Any], plans: Mapping[str, tuple[Plan, Path]]
) -> tuple[Measured, Sequence[Graph]]:
    if not profile.get("operators"):
        raise InputError(f"profile {path} has no operators; make it again with `partway profile`")
    if profile.get("predicted"):
        raise InputError(f"profile {path} is itself predicted; calibrate with measured ones")
    if profile.get("plan") not in plans:
        raise InputError(f"the plan that profile {path} is of is not among --models; add its folder")
    plan, folder = plans[str(profile["plan"])]
    seconds = stage_seconds(profile, len(plan.stages))
    graphs = _graphs(plan, folder)
    damaged = f"the operators of profile {path} are damaged"
    with mapped(dict.fromkeys((KeyError, TypeError, ValueError, IndexError), InputError), damaged):
        return measured(plan.model, graphs, seconds, profile["operators"]), graphs


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


def _write(path: Path, data: Mapping[str, Any]) -> None:
    with mapped({OSError: InputError}, f"{path} cannot be written"):
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


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
    console.print(f"whole models: {_said(made.total)}", markup=False)
