"""The profile's JSON: one format for every machine, written once and read strictly, because people share these files.

``format`` 1 has ``plan`` (digest), ``model``, ``machine``, ``engine``, ``engine_version``, ``threads``, ``date``,
``stage_s`` (seconds per stage), ``spread``, ``waited`` and ``runs`` (see StageTimes). Optional: ``operators``, a
list of objects with ``name``, ``kind``, ``stage``, ``time_s``, ``calls`` and ``fused`` whose times add up to
``stage_s``; ``profiler``, what it cost to see them (``slowdown``, ``runs``); ``predicted`` where nothing was
measured (see Predicted); and ``busy``, a sentence, where other work disturbed the measurement. Unknown keys are
ignored, so that later versions can add keys. docs/profiles.md documents it.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partway.engines.interface import Engine
from partway.errors import InputError, mapped
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import PLAN_FILE
from partway.partitioner.profile.measure import StageTimes, busy_reason, machine_name

FORMAT = 1
OVERHEAD = "(overhead)"
"""Kind of the entry for a stage's time beyond its operators: the call of the engine and the engine's own work."""


@dataclass(frozen=True, slots=True)
class OperatorSeconds:
    """Seconds a frame spends on one operator of the model; see :class:`~partway.engines.interface.OperatorTiming`."""

    name: str | None
    kind: str
    stage: int
    time_s: float
    calls: int = 1
    fused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OperatorProfile:
    """Operators of all stages, and the slowdown of the model under the profiler (1.1: a tenth longer)."""

    operators: tuple[OperatorSeconds, ...]
    slowdown: float
    runs: int


@dataclass(frozen=True, slots=True)
class Predicted:
    """Marks a profile as predicted: the calibration's name and its errors on models left out of it.

    Of the relative errors of ``models`` whole models nine in ten were at most ``error``, half at most ``median_error``.
    ``strange`` is the share of the time that falls to operators of kinds or sizes the calibration never saw.
    """

    source: str
    error: float
    median_error: float
    models: int
    strange: float = 0.0

    def __str__(self) -> str:
        strange = f"; {self.strange:.0%} is of operators unlike any that it has seen" if self.strange > 0.1 else ""
        return (
            f"predicted from {self.source}, ±{self.error:.0%} (nine in ten of {self.models} models, each predicted from"
            f" the others; half within ±{self.median_error:.0%}){strange}"
        )

    def to_json(self) -> dict[str, Any]:
        """The ``predicted`` of a profile."""
        return {
            "from": self.source,
            "error": self.error,
            "median_error": self.median_error,
            "models": self.models,
            "strange": self.strange,
        }


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, read: whose, on what, seconds per stage and, where measured, per operator."""

    plan: str
    model: str
    machine: str
    engine: str
    threads: int
    date: str
    stage_s: tuple[float, ...]
    spread: float
    runs: int
    operators: tuple[OperatorSeconds, ...] = ()
    predicted: Predicted | None = None
    busy: str = ""
    """``measured on a busy machine (…)`` where it was."""


def profile_to_json(
    times: StageTimes, engine: Engine, digest: str, model: str = "", seen: OperatorProfile | None = None
) -> dict[str, Any]:
    """A shareable profile of this machine."""
    data = {
        "format": FORMAT,
        "plan": digest,
        "model": model,
        "machine": machine_name(),
        "engine": engine.name,
        "engine_version": engine.version,
        "threads": engine.threads,
        "date": datetime.date.today().isoformat(),
        "stage_s": list(times.stage_s),
        "spread": times.spread,
        "waited": times.waited,
        "runs": times.runs,
    }
    if reason := busy_reason(times):
        data["busy"] = f"measured on a busy machine ({reason})"
    if seen is None:
        return data
    operators = [_operator_to_json(one) for one in seen.operators]
    return {**data, "operators": operators, "profiler": {"slowdown": seen.slowdown, "runs": seen.runs}}


def profile_from_json(data: object, plan: Plan) -> Profile:
    """Inverse of profile_to_json. Raises InputError, one sentence, for anything but a sound profile of this plan."""
    profile = read_profile(data)
    if profile.plan != plan.digest:
        raise InputError(f"the profile was made for another plan than {plan.model}'s; profile this plan again")
    check_stages(profile, len(plan.stages))
    return profile


def load_profile(path: Path, plan: Plan) -> Profile:
    """The profile in a file. Raises InputError, naming the file."""
    with mapped({OSError: InputError, ValueError: InputError, RecursionError: InputError}, f"profile {path}"):
        data = json.loads(path.read_text(encoding="utf-8"))
    try:
        return profile_from_json(data, plan)
    except InputError as error:
        raise InputError(f"profile {path}: {error}") from error


def save_profile(path: Path, profile: Mapping[str, Any]) -> None:
    """Write a profile's JSON, whole or not at all. Raises InputError when the file cannot be written, or is a plan."""
    if path.name == PLAN_FILE:
        raise InputError(f"{path} is the name of a plan, not of a profile; give another --out")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written (no such folder); give another --out")
    text = json.dumps(profile, indent=1) + "\n"
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe, or a folder by mistake
        with mapped({OSError: InputError}, f"{path} cannot be written; give another --out"):
            path.write_text(text, encoding="utf-8")
    else:
        from partway.system.atomic_write import write_atomically  # devices write no profiles

        write_atomically(path, text.encode())


def stage_seconds(data: object, stages: int) -> tuple[float, ...]:
    """The seconds per stage of a profile's JSON; InputError when it is not one of a plan with this many stages."""
    profile = read_profile(data)
    check_stages(profile, stages)
    return profile.stage_s


def read_profile(data: object) -> Profile:
    """A profile of any plan, checked on its own. Raises InputError, one sentence that says what to do."""
    if not isinstance(data, Mapping):
        raise InputError("not a profile (no JSON object); make one with `partway profile`")
    _check_format(data.get("format"))
    operators = _operators(data.get("operators", []))
    try:
        profile = Profile(
            plan=_text(data["plan"]),
            model=_text(data.get("model", "")),
            machine=_text(data.get("machine", "a machine without a name")),
            engine=_text(data.get("engine", "")),
            threads=_integer(data.get("threads", 0)),
            date=_text(data.get("date", "")),
            stage_s=tuple(_number(value) for value in _list(data["stage_s"])),
            spread=_number(data.get("spread", 0.0)),
            runs=_integer(data.get("runs", 0)),
            operators=operators,
            predicted=_predicted(data.get("predicted")),
            busy=_text(data.get("busy", "")),
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise InputError(f"not a profile ({error}); make one with `partway profile`") from error
    times = (*profile.stage_s, profile.spread, *(one.time_s for one in operators))
    if not all(0 <= value < math.inf for value in times):
        raise InputError("the profile has negative or endless times; profile this plan again")
    if not all(0 <= one.stage < len(profile.stage_s) for one in operators):
        raise InputError("the profile has operators of stages that it does not have; profile this plan again")
    return profile


def _check_format(found: object) -> None:
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            f"the profile has format {found} and this version reads {FORMAT}; update partway, or profile again with it"
        )
    if found != FORMAT:
        raise InputError(f"not a profile (its format is not {FORMAT}); make one with `partway profile`")


def check_stages(profile: Profile, stages: int) -> None:
    """Raise InputError when the profile is of another number of stages."""
    if len(profile.stage_s) != stages:
        raise InputError(f"the profile has {len(profile.stage_s)} stages, the plan {stages}; profile this plan again")


def _predicted(data: object) -> Predicted | None:
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise TypeError("predicted is no object")
    found = Predicted(
        _text(data["from"]),
        _number(data["error"]),
        _number(data.get("median_error", data["error"])),
        _integer(data.get("models", 0)),
        _number(data.get("strange", 0.0)),
    )
    if not all(0 <= value < math.inf for value in (found.error, found.median_error, found.strange)):
        raise TypeError("predicted has negative or endless errors")
    return found


def _operators(data: object) -> tuple[OperatorSeconds, ...]:
    try:
        return tuple(_operator(one) for one in _list(data))
    except (KeyError, TypeError) as error:
        raise InputError(f"the profile's operators are damaged ({error}); profile this plan again") from error


def _operator(data: object) -> OperatorSeconds:
    if not isinstance(data, Mapping):
        raise TypeError("one is no object")
    name = None if data["name"] is None else _text(data["name"])
    fused = tuple(_text(one) for one in _list(data.get("fused", [])))
    time_s, calls = _number(data["time_s"]), _integer(data.get("calls", 1))
    return OperatorSeconds(name, _text(data["kind"]), _integer(data["stage"]), time_s, calls, fused)


def _operator_to_json(one: OperatorSeconds) -> dict[str, Any]:
    data = {"name": one.name, "kind": one.kind, "stage": one.stage, "time_s": one.time_s, "calls": one.calls}
    return {**data, "fused": list(one.fused)}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is no whole number")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no list")
    return value
