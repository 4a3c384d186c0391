"""The sub-commands of ``partway`` that deal with one model: arguments, and what to print."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from partway.cli.commands import calibrate as calibrate_command
from partway.cli.commands import convert as convert_command
from partway.cli.commands import explain as explain_command
from partway.cli.commands import models as models_command
from partway.cli.commands import plan as model_commands
from partway.cli.commands import profile as profile_command
from partway.cli.commands import quantize as quantize_command
from partway.cli.commands import tiers as tiers_command
from partway.engines.registry import engine_entry
from partway.engines.sandbox import try_stages
from partway.errors import InputError, mapped
from partway.partitioner.formats.unsplit_model import load_whole
from partway.partitioner.plan.chain import choose_engine, load_folder
from partway.partitioner.plan.parity import Parity, verify
from partway.partitioner.plan.plan import Plan, load_plan
from partway.partitioner.profile.measure import random_tensor
from partway.partitioner.zoo import model_folder
from partway.units import show_bytes

Array = np.ndarray[Any, Any]
Verb = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a shipped model's name, or the folder of a plan")
    parser.add_argument(
        "--inputs", type=Path, metavar="NPZ", help="real inputs: one array per model input, first axis frames"
    )
    parser.add_argument(
        "--runs", type=int, default=8, metavar="N", help="random inputs when none are given (default: 8)"
    )
    parser.add_argument("--engine", default="auto", metavar="NAME", help="onnx, litert (default: the plan's own)")
    parser.add_argument("--against", type=Path, metavar="MODEL", help="the original model file to compare with")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run_verify(args: argparse.Namespace) -> int:
    """Print the parity of every k; 1 when any fails, naming the first."""
    folder = model_folder(args.model)
    plan = load_plan(folder)
    engine = choose_engine(plan, args.engine)
    chain = load_folder(folder, plan, engine)
    inputs = _given(args.inputs, plan) if args.inputs else _random(plan, args.runs)
    wholes = None
    if args.against is not None:
        if (
            engine_entry(engine.name).trusts_files and args.against.is_file()
        ):  # an interpreter that trusts the file, see trial.py
            try_stages(engine.name, [args.against], str(args.against))
        whole = load_whole(args.against, engine)
        with mapped({KeyError: InputError}, f"{args.against} is not the model of this plan, which does not have"):
            wholes = [whole.run(values) for values in inputs]
            wholes = [{name: answers[name] for name in plan.outputs} for answers in wholes]
    rows = verify(chain, inputs, wholes)
    _show_parity(rows, plan, args.json)
    failed = next((row for row in rows if not row.holds), None)
    if failed is not None:
        raise InputError(
            f"split {failed.k} at {failed.cut} does not answer like the whole model (error {failed.error:.2g})"
        )
    return 0


def _show_parity(rows: list[Parity], plan: Plan, as_json: bool) -> None:
    if as_json:
        keys = ("k", "cut", "error", "exact", "holds", "inputs")
        print(
            json.dumps(
                {"model": plan.model, "digest": plan.digest, "splits": [{k: getattr(r, k) for k in keys} for r in rows]}
            )
        )
        return
    table = Table(title=f"parity of {plan.model} at every split", title_justify="left")
    for column in ("k", "cut", "crosses", "worst relative error", "verdict"):
        table.add_column(column)
    for row in rows:
        size = sum(spec.size_bytes() for spec in plan.crossing(row.k))
        verdict = "bit-equal" if row.exact else "within 1e-5" if row.holds else "WRONG"
        table.add_row(str(row.k), row.cut, show_bytes(size), f"{row.error:.2g}", verdict)
    Console(highlight=False).print(table)


def _random(plan: Plan, runs: int) -> list[dict[str, Array]]:
    if runs < 1:
        raise InputError(f"--runs must be 1 or more, not {runs}")
    rng = np.random.default_rng(0)
    return [{s.name: random_tensor(rng, s.dtype, s.shape) for s in plan.crossing(0)} for _ in range(runs)]


def _given(path: Path, plan: Plan) -> list[dict[str, Array]]:
    try:
        arrays = dict(np.load(path, allow_pickle=False))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:  # TypeError: a single array, an .npy file
        raise InputError(f"{path} is no .npz file of plain numbers; make one with numpy.savez") from error
    missing = [spec.name for spec in plan.crossing(0) if spec.name not in arrays]
    if missing:
        raise InputError(f"{path} lacks the model's input {', '.join(missing)}; it holds {', '.join(arrays)}")
    specs = plan.crossing(0)
    count = min(len(arrays[spec.name]) for spec in specs)
    return [{s.name: arrays[s.name][i : i + 1].astype(s.dtype, copy=False) for s in specs} for i in range(count)]


VERBS: dict[str, Verb] = {
    "cuts": ("list the legal and the useful cuts of a model", model_commands.cuts_arguments, model_commands.run_cuts),
    "slice": ("cut a model into one file per stage", model_commands.slice_arguments, model_commands.run_slice),
    "plan": (
        "slice a model and measure it and its codecs here",
        model_commands.plan_arguments,
        model_commands.run_plan,
    ),
    "explain": (
        "what would be best on a link, and where the answer changes",
        explain_command.arguments,
        explain_command.run,
    ),
    "tiers": ("the best places for a chain over device, edge and cloud", tiers_command.arguments, tiers_command.run),
    "convert": ("measurements of others as plans and profiles", convert_command.arguments, convert_command.run),
    "calibrate": (
        "learn from profiles what a machine needs for operators",
        calibrate_command.arguments,
        calibrate_command.run,
    ),
    "profile": ("measure a model on this machine", profile_command.arguments, profile_command.run),
    "models": ("list the models that are known by name", models_command.arguments, models_command.run),
    "quantize": quantize_command.VERB,
    "verify": ("prove that every split answers like the whole model", _verify_arguments, run_verify),
}
