"""Learn a machine's speed from profiles of several models, and predict its profile of another model."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from partway.errors import InputError, mapped
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan, read_stage
from partway.partitioner.profile.file import FORMAT, OVERHEAD, Predicted, Profile, check_stages, read_profile
from partway.partitioner.profile.fused_groups import MeasuredModel, measured_groups
from partway.partitioner.profile.predict import Calibration, calibrate, calibration_from_json, predict
from partway.partitioner.slicing import read_graph

log = logging.getLogger("partway.partitioner")
SAME = ("machine", "engine", "engine_version", "threads")
"""What all profiles of one calibration have in common."""


def calibrate_machine(profiles: Iterable[Path], folders: Iterable[Path]) -> Calibration:
    """Fit profiles of one machine; ``folders`` hold the plans they are of. Raises InputError, naming the file."""
    plans = _plans(folders)
    seen: list[tuple[MeasuredModel, Sequence[Graph]]] = []
    about: dict[str, Any] = {}
    for path in profiles:
        data = _read(path, "profile")
        profile = read_profile(data)
        own = {key: data.get(key) for key in SAME}
        if about and own != about:
            other = next(key for key in SAME if own[key] != about[key])
            raise InputError(
                f"profile {path} is of another {other} ({own[other]}, not {about[other]}); calibrate each by itself"
            )
        about = own
        seen.append(_joined(path, profile, plans))
    return calibrate(seen, {**about, "date": datetime.date.today().isoformat()})


def predicted_profile(path: Path, plan: Plan, folder: Path) -> dict[str, Any]:
    """The predicted profile of a plan on the calibrated machine, as JSON.

    Raises InputError when the calibration cannot be read or is of another engine than the plan.
    """
    calibration = calibration_from_json(_read(path, "calibration"))
    if plan.engine != calibration.about["engine"]:
        raise InputError(
            f"{path} was measured with engine {calibration.about['engine']}, the plan is for {plan.engine}"
        )
    found = predict(calibration.regression, _graphs(plan, folder))
    operators = [
        {"name": group.name, "kind": group.kind.split()[0], "stage": group.stage, "time_s": seconds}
        for group, seconds in found.groups
    ]
    rest = [
        {"name": None, "kind": OVERHEAD, "stage": stage, "time_s": rest_s, "calls": 0}
        for stage, rest_s in enumerate(found.rest_s)
    ]
    error = calibration.total
    return {
        "format": FORMAT,
        "plan": plan.digest,
        "model": plan.model,
        **calibration.about,
        "date": datetime.date.today().isoformat(),
        "stage_s": list(found.stage_s),
        "operators": [*operators, *rest],
        "predicted": Predicted(path.name, error.p90, error.median, error.count, found.strange).to_json(),
    }


def _plans(folders: Iterable[Path]) -> dict[str, tuple[Plan, Path]]:
    searched, found = list(folders), {}
    for folder in searched:
        for path in (folder, *sorted(folder.glob("*"))):
            if (path / PLAN_FILE).is_file():
                plan = load_plan(path)
                found[plan.digest] = (plan, path)
    if not found:
        raise InputError(f"there is no plan in {', '.join(map(str, searched))}; give the folders of `partway plan`")
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
    if profile.busy:
        log.warning("profile %s was %s; what is learned from it is as wrong", path, profile.busy)
    check_stages(profile, len(plan.stages))
    graphs = _graphs(plan, folder)
    return measured_groups(plan.model, graphs, profile.stage_s, profile.operators), graphs


def _graphs(plan: Plan, folder: Path) -> list[Graph]:
    graphs = []
    for stage in plan.stages:
        read_stage(folder, stage)
        sizes = {spec.name: spec.usual or spec.shape for spec in stage.inputs}
        graphs.append(read_graph(folder / stage.file, sizes))
    return graphs


def _read(path: Path, what: str) -> Mapping[str, Any]:
    with mapped({OSError: InputError, ValueError: InputError, RecursionError: InputError}, f"{what} {path}"):
        data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, Mapping):
        raise InputError(f"{path} is no {what} (no JSON object)")
    return data
