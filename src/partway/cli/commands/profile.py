"""``partway profile``: what a model's stages and operators take on this machine, as a file that can be shared."""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.errors import InputError
from partway.partitioner.plan.chain import choose_engine, load_folder
from partway.partitioner.plan.model_format import is_model_file
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.profile.file import OperatorSeconds, Profile, profile_to_json, read_profile, save_profile
from partway.partitioner.profile.measure import StageTimes, check_quiet, measure, sample_values
from partway.partitioner.profile.operators import measure_operators
from partway.partitioner.resolve import is_torch, is_zoo_name, model_file
from partway.partitioner.zoo import model_folder
from partway.partitioner.zoo.cache import prepare
from partway.units import show_s

log = logging.getLogger("partway.partitioner")
SHOWN = 15
LEAST, MOST, MOST_WATCHED = 20, 5000, 500


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway profile``."""
    add = parser.add_argument
    add("model", nargs="?", help="a name (`partway models`), a plan's folder, a model file, or module:factory")
    add("--model", dest="named", metavar="MODEL", help="the same")
    add("--example-input", action="append", default=[], metavar="SHAPE|FILE", help="for module:factory: 1x3x224x224")
    add("--weights", type=Path, metavar="FILE", help="for module:factory: a state dict (.pt, .safetensors)")
    add("--random-weights", action="store_true", help="for a name of the zoo: weights never trained")
    add("--out", type=Path, metavar="FILE.json", help="where the profile goes (default: printed only)")
    add("--predict", type=Path, metavar="CALIBRATION", help="measure nothing: predict the machine that was calibrated")
    add("--operators", action="store_true", help="time every operator too")
    add("--engine", default="auto", metavar="NAME", help="onnx, litert (default: the plan's own)")
    add("--threads", type=int, default=0, metavar="N", help="threads (default: all cores)")
    add("--seconds", type=float, default=2.0, metavar="S", help="how long to measure (default: 2)")
    add("--runs", type=int, metavar="N", help="how often to run the model instead")
    add("--json", action="store_true", help="print the profile instead of tables")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for. Refuses when the machine was busy."""
    _check(args)
    with ExitStack() as stack:
        folder = _folder(model_of(args), args, stack)
        plan = load_plan(folder)
        profile = predicted(plan, folder, args) if args.predict else measured(plan, folder, args)
    if args.out is not None:
        save_profile(args.out, profile)
    show(profile, plan, args.json)
    return 0


def model_of(args: argparse.Namespace) -> str:
    """The model that was named, in either way. Raises InputError when there is none."""
    if args.model is not None and args.named is not None and args.model != args.named:
        raise InputError(f"two models were given, {args.model} and {args.named}; give one")
    model: str | None = args.model or args.named
    if not model:
        raise InputError("name a model to profile: a shipped one, the folder of a plan, or an .onnx file")
    return model


def _check(args: argparse.Namespace) -> None:
    if args.threads < 0 or not 0 < args.seconds < 1e6:
        raise InputError("--threads must be 0 or more and --seconds more than 0")
    if args.runs is not None and not 5 <= args.runs <= 100_000:
        raise InputError(f"--runs must be 5 to 100000, not {args.runs}")
    if args.out is not None and not args.out.parent.is_dir():
        raise InputError(f"{args.out} cannot be written (no such folder); give another --out")


def _folder(model: str, args: argparse.Namespace, stack: ExitStack) -> Path:
    path = Path(model)
    if is_torch(model) or (is_model_file(model) and path.is_file()):
        return _sliced(args, stack)
    if is_zoo_name(model):
        return prepare(model, args.random_weights, None, log.warning)
    return model_folder(model)


def _sliced(args: argparse.Namespace, stack: ExitStack) -> Path:
    from partway.partitioner.formats.model_metadata import Wishes, described
    from partway.partitioner.plan.plan_file import save_plan
    from partway.partitioner.slicing import make_plan

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partway-")))
    path = stack.enter_context(model_file(model_of(args), args.example_input, args.weights))
    plan = make_plan(path, folder)
    chain = load_folder(folder, plan, choose_engine(plan))
    save_plan(described(plan, chain, Wishes()), folder)
    return folder


def measured(plan: Plan, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The profile's JSON, measured now. Raises InputError when the machine was busy."""
    engine = choose_engine(plan, args.engine, args.threads)
    chain = load_folder(folder, plan, engine)
    values = sample_values(chain)
    if args.operators:
        runs = args.runs or _runs_for(measure(chain, values, args.seconds / 10), args.seconds)
        times, seen = measure_operators(chain, engine, lambda stage: read_stage(folder, stage), values, runs)
        return profile_to_json(times, engine, plan.digest, plan.model, seen)
    least, most = (args.runs, args.runs) if args.runs else (LEAST, MOST)
    times = measure(chain, values, args.seconds, least=least, most=most)
    check_quiet(times)
    return profile_to_json(times, engine, plan.digest, plan.model)


def _runs_for(times: StageTimes, seconds: float) -> int:
    """How often the model runs twice in so many seconds, within reason."""
    return int(min(max(seconds / 2 / (sum(times.stage_s) or 1.0), LEAST), MOST_WATCHED))


def predicted(plan: Plan, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The profile's JSON as a calibration predicts it. Raises InputError when the calibration does not fit the plan."""
    from partway.cli.commands.calibrate import predicted_profile

    if args.operators:
        raise InputError("--predict measures nothing; leave out --operators (predicted ones are always given)")
    return predicted_profile(args.predict, plan, folder)


def show(data: dict[str, Any], plan: Plan, as_json: bool) -> None:
    """Print a profile: the JSON itself, or tables of stages and operators."""
    if as_json:
        print(json.dumps(data))
        return
    profile = read_profile(data)
    console = Console(highlight=False)
    table = Table(title=f"{plan.model} on {profile.machine}", title_justify="left")
    for column in ("stage", "operators", "time", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    total = sum(profile.stage_s) or 1.0
    for stage, seconds in zip(plan.stages, profile.stage_s, strict=True):
        table.add_row(stage.file, str(stage.operators), shown_s(seconds, profile), f"{seconds / total:.1%}")
    console.print(table)
    if profile.operators:
        console.print(_operator_table(profile))
    if profile.predicted is not None:
        whole = f"whole model ~{show_s(sum(profile.stage_s))} on {profile.machine}, {profile.predicted}"
        console.print(whole, markup=False, soft_wrap=True)
        return
    if profile.operators:
        longer = data.get("profiler", {}).get("slowdown", 1.0) - 1
        console.print(
            f"operators add up to their stage's own time; while they were watched the model took"
            f" {max(longer, 0.0):.0%} longer"
        )
    console.print(
        f"whole model {show_s(sum(profile.stage_s))}, spread {profile.spread:.0%}, {profile.runs} runs,"
        f" {profile.engine} on {profile.threads} threads, {profile.date}"
    )


def _operator_table(profile: Profile) -> Table:
    slowest = sorted(profile.operators, key=lambda one: -one.time_s)
    table = Table(title=f"operators (the {min(SHOWN, len(slowest))} slowest of {len(slowest)})", title_justify="left")
    for column in ("operator", "kind", "stage", "time", "share"):
        table.add_column(column, justify="right" if column in ("time", "share") else "left")
    total = sum(profile.stage_s) or 1.0
    for one in slowest[:SHOWN]:
        seconds = shown_s(one.time_s, profile)
        table.add_row(_shown(one), one.kind, str(one.stage), seconds, f"{one.time_s / total:.1%}")
    if left := slowest[SHOWN:]:
        more_s = sum(one.time_s for one in left)
        table.add_row(f"{len(left)} more", "", "", shown_s(more_s, profile), f"{more_s / total:.1%}")
    return table


def shown_s(seconds: float, profile: Profile) -> str:
    """Seconds for people, with a ``~`` where they are predicted."""
    return show_s(seconds) if profile.predicted is None else f"~{show_s(seconds)}"


def _shown(one: OperatorSeconds) -> str:
    others: Sequence[str] = [name for name in one.fused if name != one.name]
    return f"{one.name or '-'}{f' + {len(others)} fused' if others else ''}"
