"""``partway verify``: prove that every split of a plan answers like the whole model."""

from __future__ import annotations

import argparse
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.errors import InputError, mapped

if TYPE_CHECKING:
    import numpy as np

    from partway.engines.interface import Engine
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

    Values = dict[str, np.ndarray[Any, Any]]

RUNS, SEQUENCE_RUNS = 8, 50
HELP = "prove that every split answers like the whole model"


def add_arguments(parser: Parser) -> None:
    """Arguments of ``partway verify``."""
    parser.add_named("model", help="a shipped model's name, or the folder of a plan")
    add = parser.add_argument
    add("--inputs", type=Path, metavar="NPZ", help="real inputs: one array per model input, first axis frames")
    add("--runs", type=int, metavar="N", help="random inputs when none are given (default: 8, with state 50)")
    add("--engine", default="auto", metavar="NAME", help="onnx, litert (default: the plan's own)")
    add("--against", type=Path, metavar="FILE", help="the original model file to compare with")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the parity of every k. Raises InputError when any fails, naming the first."""
    from partway.cli.show.parity import show_parity
    from partway.partitioner.plan.chain import choose_engine, load_folder
    from partway.partitioner.plan.parity import verify
    from partway.partitioner.plan.plan_file import load_plan
    from partway.partitioner.zoo import model_folder

    folder = model_folder(args.model)
    plan = load_plan(folder)
    engine = choose_engine(plan, args.engine)
    chain = load_folder(folder, plan, engine)
    inputs = _read_inputs(args.inputs, plan) if args.inputs else _random_inputs(plan, _runs(args, plan))
    rows = verify(chain, inputs, _original_answers(args.against, engine, plan, inputs) if args.against else None)
    show_parity(rows, plan, args.json)
    failed = next((row for row in rows if not row.holds), None)
    if failed is not None:
        raise InputError(
            f"split {failed.k} at {plan.cut_names[failed.k]} does not answer like the whole model"
            f" (error {failed.error:.2g})"
        )
    return 0


def _runs(args: argparse.Namespace, plan: Plan) -> int:
    """How many random inputs; more where they are one sequence, so that errors in the state would add up."""
    if args.runs is not None:
        return int(args.runs)
    return SEQUENCE_RUNS if plan.state else RUNS


def _original_answers(file: Path, engine: Engine, plan: Plan, inputs: list[Values]) -> list[Values]:
    """The answers of the original, unsplit model."""
    from partway.partitioner.formats.unsplit_model import load_unsplit
    from partway.partitioner.plan.model_file.wrong_model import what_it_is
    from partway.partitioner.plan.parity import sequence

    if advice := what_it_is(file):
        raise InputError(f"--against {file} is {advice}")
    whole = load_unsplit(file, engine, trial=True)
    hidden = {link.output for link in plan.state} - {spec.name for spec in whole.outputs}  # in its own variables
    with mapped({KeyError: InputError}, f"{file} is not the model of this plan, which does not have"):
        answers = sequence(replace(plan, state=()) if hidden else plan, inputs, whole.run)
        return [{name: answer[name] for name in plan.outputs if name not in hidden} for answer in answers]


def _random_inputs(plan: Plan, runs: int) -> list[Values]:
    import numpy as np

    from partway.partitioner.plan.inputs import random_frame

    if runs < 1:
        raise InputError(f"--runs must be 1 or more, not {runs}")
    rng = np.random.default_rng(0)
    return [random_frame(plan, rng) for _ in range(runs)]


def _read_inputs(path: Path, plan: Plan) -> list[Values]:
    import numpy as np

    from partway.partitioner.plan.inputs import frame_of, frames_of

    try:
        arrays = dict(np.load(path, allow_pickle=False))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:  # TypeError: a single array, an .npy file
        raise InputError(f"{path} is not an .npz file of plain numbers; make one with numpy.savez") from error
    return [frame_of(frame, plan, str(path)) for frame in frames_of(arrays, plan, str(path))]
