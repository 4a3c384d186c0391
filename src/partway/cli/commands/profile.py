"""``partway profile``: the times of a model's stages and operators on this machine or on a cloud, as a file."""

from __future__ import annotations

import argparse
import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.edge.transport.access.options import access_arguments, access_of
from partway.errors import InputError, Refused
from partway.units import parse_s

if TYPE_CHECKING:
    from partway.partitioner.plan.plan import Plan
    from partway.partitioner.profile.measure import StageTimes
    from partway.system.arguments import Parser

log = logging.getLogger("partway.partitioner")
HELP = "measure a model on this machine, or ask a cloud for its own measurement"
LEAST, MOST, MOST_WATCHED = 20, 5000, 500


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway profile``."""
    from partway.partitioner.plan.model_file.wishes import MODEL_OPTIONS
    from partway.system.option_table import add_options

    parser.add_named("model", help="a name (`partway models`), a plan's folder, a model file, or module:factory")
    add = parser.add_argument
    add("--example-input", action="append", default=[], metavar="SHAPE|FILE", help="for module:factory: 1x3x224x224")
    add("--weights", type=Path, metavar="FILE", help="for module:factory: a state dict (.pt, .safetensors)")
    add_options(parser, [row for row in MODEL_OPTIONS if row.name == "shape"])
    add("--random-weights", action="store_true", help="for a model by name: random weights")
    add("--out", type=Path, metavar="FILE.json", help="where the profile goes (default: printed only)")
    add("--predict", type=Path, metavar="CALIBRATION", help="measure nothing: predict the machine that was calibrated")
    add("--operators", action="store_true", help="time every operator too")
    add("--engine", default="auto", metavar="NAME", help="onnx, litert (default: the plan's own)")
    add("--threads", type=int, default=0, metavar="N", help="threads (default: all cores)")
    add("--seconds", type=float, default=2.0, metavar="S", help="how long to measure (default: 2)")
    add("--runs", type=int, metavar="N", help="how often to run the model instead")
    add("--force", action="store_true", help="measure on a busy machine too; the profile says so")
    add("--json", action="store_true", help="print the profile instead of tables")
    add("--cloud", metavar="HOST:PORT", help="ask this cloud for its profile instead of measuring this machine")
    add("--timeout", default="5s", metavar="TIME", help="how long to wait for the cloud (default: %(default)s)")
    access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, predict or query a cloud; then print and write. Raises InputError if the machine was busy."""
    _check(args)
    plan, profile = _of_cloud(args) if args.cloud is not None else _of_machine(args)
    from partway.cli.show.profile import show_profile
    from partway.partitioner.profile.file import save_profile

    if args.out is not None:
        save_profile(args.out, profile)
    show_profile(profile, plan, args.json)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.cloud is not None and args.predict is not None:
        raise InputError("--cloud reads a measurement and --predict makes a prediction; give one of them")
    if args.predict is not None and args.operators:
        raise InputError("--predict measures nothing; leave out --operators (predicted ones are always given)")
    if args.threads < 0 or not 0 < args.seconds < 1e6:
        raise InputError("--threads must be 0 or more and --seconds more than 0")
    if args.runs is not None and not 5 <= args.runs <= 100_000:
        raise InputError(f"--runs must be 5 to 100000, not {args.runs}")
    if args.out is not None and not args.out.parent.is_dir():
        raise InputError(f"{args.out} cannot be written (no such folder); give another --out")


def _of_cloud(args: argparse.Namespace) -> tuple[Plan, dict[str, Any]]:
    """A running cloud's own profile of the model. Raises InputError when it does not serve that model."""
    from partway.edge.transport.client import CloudClient
    from partway.partitioner.profile.file import profile_from_json

    try:
        with CloudClient(args.cloud, parse_s(args.timeout), access=access_of(args)) as client:
            description = client.describe(args.model)
    except Refused as error:  # the cloud has no such model: an error of the user
        raise InputError(str(error)) from error
    if description.plan is None:
        served = ", ".join(description.models)
        raise InputError(f"the cloud at {args.cloud} does not describe {args.model}; it serves {served}")
    profile_from_json(description.profile, description.plan)
    return description.plan, description.profile


def _of_machine(args: argparse.Namespace) -> tuple[Plan, dict[str, Any]]:
    """The profile of this machine, or with ``--predict`` of the calibrated machine."""
    from partway.partitioner.plan.plan_file import load_plan

    with ExitStack() as stack:
        folder = _folder(args, stack)
        plan = load_plan(folder)
        if args.predict is None:
            return plan, _measured(plan, folder, args)
        from partway.partitioner.calibrate.machine import predicted_profile

        return plan, predicted_profile(args.predict, plan, folder)


def _folder(args: argparse.Namespace, stack: ExitStack) -> Path:
    """The plan's folder. For a model file it is temporary, and ends with the stack."""
    from partway.partitioner.plan.model_file.model_format import is_model_file
    from partway.partitioner.resolve import is_torch, is_zoo_name
    from partway.partitioner.zoo import model_folder
    from partway.partitioner.zoo.cache import prepare

    path = Path(args.model)
    if is_torch(args.model) or (is_model_file(args.model) and path.is_file()):
        return _sliced(args, stack)
    if is_zoo_name(args.model):
        return prepare(args.model, args.random_weights, None, log.warning)
    return model_folder(args.model)


def _sliced(args: argparse.Namespace, stack: ExitStack) -> Path:
    from partway.partitioner.formats.model_metadata import described
    from partway.partitioner.plan.chain import choose_engine, load_folder
    from partway.partitioner.plan.model_file.wishes import NO_WISHES, shapes
    from partway.partitioner.plan.plan_file import save_plan
    from partway.partitioner.resolve import model_file
    from partway.partitioner.slicing import make_plan

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partway-")))
    path = stack.enter_context(model_file(args.model, args.example_input, args.weights))
    plan = make_plan(path, folder, sizes=dict(shapes(args.shape)))
    chain = load_folder(folder, plan, choose_engine(plan))
    save_plan(described(plan, chain, NO_WISHES), folder)
    return folder


def _measured(plan: Plan, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The profile's JSON, measured now. Raises InputError when the machine was busy."""
    from partway.partitioner.plan.chain import choose_engine, load_folder
    from partway.partitioner.plan.plan_file import read_stage
    from partway.partitioner.profile.file import profile_to_json
    from partway.partitioner.profile.measure import check_quiet, measure, sample_values
    from partway.partitioner.profile.operators import measure_operators

    engine = choose_engine(plan, args.engine, args.threads)
    chain = load_folder(folder, plan, engine)
    values = sample_values(chain)
    if args.operators:
        runs = args.runs or _runs_for(measure(chain, values, args.seconds / 10), args.seconds)
        times, operators = measure_operators(
            chain, engine, lambda stage: read_stage(folder, stage), values, runs, args.force
        )
        return profile_to_json(times, engine, plan.digest, plan.model, operators)
    least, most = (args.runs, args.runs) if args.runs else (LEAST, MOST)
    times = measure(chain, values, args.seconds, least=least, most=most)
    if not args.force:
        check_quiet(times)
    return profile_to_json(times, engine, plan.digest, plan.model)


def _runs_for(times: StageTimes, seconds: float) -> int:
    """The number of runs, each plain and profiled, that fit into ``seconds``, within LEAST and MOST_WATCHED."""
    return int(min(max(seconds / 2 / (sum(times.stage_s) or 1.0), LEAST), MOST_WATCHED))
