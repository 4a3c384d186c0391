"""A calibration: the measured operator times of one machine, from which other models' times are predicted.

Its error is measured by leaving out each model in turn: the fit uses the others, and the left-out model is predicted
from its graph alone, as a user would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError, mapped
from partway.partitioner.graph.graph import Graph
from partway.partitioner.profile.fused_groups import FusedGroup, Habits, MeasuredModel, Pair, predicted_groups
from partway.partitioner.profile.regression import FEATURES, STAGE_FEATURES, Line, Regression, regress

FORMAT = 1
LEAST_MODELS = 3


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative errors: how many there are, half of them at most ``median``, nine in ten at most ``p90``."""

    count: int
    median: float
    p90: float

    @classmethod
    def of(cls, errors: Sequence[float]) -> Errors:
        """Of some errors; at least one."""
        absolute = np.abs(errors)
        return cls(len(errors), float(np.median(absolute)), float(np.quantile(absolute, 0.9)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The regression, where it comes from, and how wrong it was for models left out.

    ``models`` gives for each model the signed relative error of its total; ``operators`` for each kind the errors of
    its operators, those of no measurable time left out.
    """

    about: Mapping[str, Any]
    regression: Regression
    total: Errors
    models: Mapping[str, float]
    operators: Mapping[str, Errors]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted seconds: per stage, of each stage beyond its groups, and per group.

    ``strange`` is the share of the time from kinds or sizes never seen.
    """

    stage_s: tuple[float, ...]
    rest_s: tuple[float, ...]
    groups: tuple[tuple[FusedGroup, float], ...]
    strange: float


def calibrate(seen: Sequence[tuple[MeasuredModel, Sequence[Graph]]], about: Mapping[str, Any]) -> Calibration:
    """Fit to all models, and measure the error by leaving out each in turn. Raises InputError for fewer than three."""
    names = list(dict.fromkeys(one.model for one, _ in seen))
    if len(names) < LEAST_MODELS:
        raise InputError(
            f"a calibration needs profiles of {LEAST_MODELS} models or more, not {len(names)}; profile others"
        )
    models: dict[str, float] = {}
    operators: dict[str, list[float]] = {}
    for name in names:
        rest = regress([one for one, _ in seen if one.model != name])
        for one, graphs in seen:
            if one.model == name:
                models[name] = sum(predict(rest, graphs).stage_s) / one.total_s - 1
                for group, seconds in one.groups:
                    if seconds > 0:
                        operators.setdefault(group.kind, []).append(rest.seconds(group) / seconds - 1)
    errors = {kind: Errors.of(found) for kind, found in operators.items()}
    return Calibration(about, regress([one for one, _ in seen]), Errors.of(list(models.values())), models, errors)


def predict(regression: Regression, graphs: Sequence[Graph]) -> Prediction:
    """Predict the times of stages with these graphs."""
    stage_s: list[float] = []
    rest_s: list[float] = []
    timed: list[tuple[FusedGroup, float]] = []
    strange_s = 0.0
    for stage, graph in enumerate(graphs):
        groups = predicted_groups(graph, stage, regression.habits)
        seconds = [regression.seconds(group) for group in groups]
        timed += zip(groups, seconds, strict=True)
        strange_s += sum(s for group, s in zip(groups, seconds, strict=True) if not regression.knows(group))
        rest_s.append(regression.rest_s(groups))
        stage_s.append(sum(seconds) + rest_s[-1])
    total_s = sum(stage_s)
    return Prediction(tuple(stage_s), tuple(rest_s), tuple(timed), strange_s / total_s if total_s else 0.0)


def calibration_to_json(calibration: Calibration) -> dict[str, Any]:
    """The file's format (docs/profiles.md)."""
    found = calibration.regression
    return {
        "format": FORMAT,
        "kind": "calibration",
        **calibration.about,
        "error": {"models": len(calibration.models), "median": calibration.total.median, "p90": calibration.total.p90},
        "models": dict(calibration.models),
        "features": list(FEATURES),
        "operators": {
            kind: {**_line_to_json(line), **_errors_to_json(calibration.operators.get(kind))}
            for kind, line in sorted(found.kinds.items(), key=lambda item: -item[1].points)
        },
        "pooled": _line_to_json(found.pooled),
        "few": {kind: _errors_to_json(e) for kind, e in calibration.operators.items() if kind not in found.kinds},
        "stage": {"features": list(STAGE_FEATURES), **_line_to_json(found.rest)},
        "fused": sorted(list(pair) for pair in found.habits.fused),
        "leaders": dict(found.habits.leaders),
    }


def calibration_from_json(data: Any) -> Calibration:
    """Inverse of calibration_to_json. Raises InputError, one sentence, on anything else."""
    if not isinstance(data, Mapping) or data.get("kind") != "calibration" or data.get("format") != FORMAT:
        raise InputError(f"not a calibration of format {FORMAT}; make one with `partway calibrate`")
    with mapped(
        dict.fromkeys((KeyError, TypeError, ValueError, AttributeError), InputError),
        "the calibration is damaged; make it again with `partway calibrate`",
    ):
        if list(data["features"]) != list(FEATURES) or list(data["stage"]["features"]) != list(STAGE_FEATURES):
            raise InputError("the calibration has other features than this version; make it again")
        kinds = {str(kind): _line(line, len(FEATURES)) for kind, line in data["operators"].items()}
        fused = frozenset(Pair(str(before), str(after)) for before, after in data["fused"])
        leaders = {str(kinds): str(kind) for kinds, kind in data["leaders"].items()}
        rest = _line(data["stage"], len(STAGE_FEATURES))
        regression = Regression(kinds, _line(data["pooled"], len(FEATURES)), rest, Habits(fused, leaders))
        models = {str(name): _number(error) for name, error in data["models"].items()}
        about = {key: data[key] for key in ("machine", "engine", "engine_version", "threads")}
        operators = {
            str(kind): Errors(int(one["measured"]), _number(one["median"]), _number(one["p90"]))
            for kind, one in (*data["operators"].items(), *data["few"].items())
            if "measured" in one
        }
        error = data["error"]
        total = Errors(int(error["models"]), _number(error["median"]), _number(error["p90"]))
        return Calibration(about, regression, total, models, operators)


def _line_to_json(line: Line) -> dict[str, Any]:
    return {"points": line.points, "coefficients": list(line.coefficients), "most": list(line.most)}


def _errors_to_json(errors: Errors | None) -> dict[str, Any]:
    return {} if errors is None else {"measured": errors.count, "median": errors.median, "p90": errors.p90}


def _line(data: Mapping[str, Any], length: int) -> Line:
    coefficients, most = (tuple(_number(value) for value in data[key]) for key in ("coefficients", "most"))
    if len(coefficients) != length or len(most) != length or min(coefficients) < 0:
        raise ValueError("a line of other features, or with negative coefficients")
    return Line(coefficients, most, int(data["points"]))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
