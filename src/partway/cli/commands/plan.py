"""``partway cuts``, ``slice`` and ``plan``: from a model file to a folder that edge-run and cloud-serve take."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from partway.engines.interface import Engine
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.calibrate.plan_step import (
    calibrated,
    calibration_arguments,
    calibration_frames,
    codec_table,
    done,
)
from partway.partitioner.formats.model_metadata import Wishes, described, read_labels
from partway.partitioner.graph.graph import Graph
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan import Plan, save_plan
from partway.partitioner.plan.preprocess import FITS
from partway.partitioner.profile.file import profile_to_json
from partway.partitioner.profile.measure import measure
from partway.partitioner.resolve import is_zoo_name, model_file
from partway.units import show_bytes, show_s

log = logging.getLogger("partway.partitioner")


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="an .onnx, .tflite or .pt2 file, a PyTorch module:factory, or a name of the zoo"
    )
    parser.add_argument(
        "--example-input",
        action="append",
        default=[],
        metavar="SHAPE|FILE",
        help="for module:factory: 1x3x224x224, 1x16:int64, an .npy or .npz file; once for each argument",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="for module:factory: a state dict (.pt, .safetensors)"
    )
    parser.add_argument("--random-weights", action="store_true", help="for a name of the zoo: weights never trained")
    parser.add_argument(
        "--shape", action="append", default=[], metavar="NAME=1x3x224x224", help="sizes of an input with dynamic axes"
    )


def cuts_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway cuts``."""
    _model_arguments(parser)
    parser.add_argument("--all", action="store_true", help="legal cuts too, not only the useful ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run_cuts(args: argparse.Namespace) -> int:
    """Print the cuts of a model with their bytes and the share of the work before them."""
    from partway.partitioner.cuts.candidates import legal_cuts, useful_cuts
    from partway.partitioner.slicing import read_graph

    with _file(args) as path:
        graph = read_graph(path, shapes(args.shape))
    useful = {cut.values for cut in useful_cuts(graph)}
    total = sum(operator.work for operator in graph.operators) or 1
    rows = [
        {
            "values": list(frontier.cut.values),
            "bytes": frontier.size_bytes,
            "work": frontier.work,
            "work_share": frontier.work / total,
            "useful": frontier.cut.values in useful,
        }
        for frontier in legal_cuts(graph)
    ]
    if args.json:
        print(json.dumps({"model": str(args.model), "operators": len(graph.operators), "cuts": rows}))
        return 0
    _print_cuts([row for row in rows if args.all or row["useful"]], Path(args.model).name, len(rows))
    return 0


def _print_cuts(rows: Iterable[dict[str, Any]], name: str, legal: int) -> None:
    table = Table(title=f"cuts of {name} ({legal} legal)", title_justify="left")
    for column in ("cut", "crosses", "work before it", "useful"):
        table.add_column(column)
    for row in rows:
        share, useful = f"{row['work_share']:.1%}", "yes" if row["useful"] else ""
        table.add_row(" + ".join(row["values"]), show_bytes(row["bytes"]), share, useful)
    Console(highlight=False).print(table)


def slice_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway slice``."""
    _model_arguments(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="where the plan and the stage files go")
    add("--cuts", default="auto", metavar="auto|none|NAMES", help="value names, comma between cuts, + within one")
    add("--name", metavar="NAME", help="the model's name (default: the file's)")
    add("--mean", metavar="M[,M,M]", help="subtracted from pixels after scaling, for example 0.485,0.456,0.406")
    add("--std", metavar="S[,S,S]", help="divides them after that, for example 0.229,0.224,0.225")
    add("--scale", type=float, metavar="X", help="multiplies pixels 0..255 first (default: 1/255 for floats)")
    add("--fit", choices=FITS, help="how a picture gets the model's size (default: stretch)")
    add("--labels", type=Path, metavar="FILE", help="class names, one a line")


def run_slice(args: argparse.Namespace) -> int:
    """Write plan.json and one file per stage."""
    plan, _, _ = sliced(args)
    save_plan(plan, args.out)
    Console(highlight=False).print(_slice_table(plan))
    return 0


def sliced(args: argparse.Namespace) -> tuple[Plan, Chain, Engine]:
    """Slice a model as the arguments say; the plan with its input and output described, loaded."""
    from partway.partitioner.slicing import choose_cuts, open_model, plan_model

    wishes = Wishes(
        numbers(args.mean, "--mean"), numbers(args.std, "--std"), args.scale, args.fit, read_labels(args.labels)
    )
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{args.out} cannot be made ({error.strerror}); give another --out") from error
    with _file(args) as path:
        source = open_model(path, shapes(args.shape))
        plan = plan_model(source, choose_cuts(source.graph, args.cuts), args.out, args.name or path.stem)
        engine = engine_for(plan.engine)
        chain = load_folder(args.out, plan, engine)
        if args.cuts != "auto":
            _warn(source.graph, path, chain, engine)
    plan = _zoo_described(args, described(plan, chain, wishes))
    return plan, Chain(plan, chain.stages), engine


def _file(args: argparse.Namespace) -> AbstractContextManager[Path]:
    return model_file(args.model, args.example_input, args.weights, random=args.random_weights)


def _zoo_described(args: argparse.Namespace, plan: Plan) -> Plan:
    """A model by name knows how its pictures are made and what its classes are called, where nothing else was said."""
    if not is_zoo_name(args.model):
        return plan
    from partway.partitioner.zoo.export import knowing

    said = any(wish is not None for wish in (args.mean, args.std, args.scale, args.fit))
    return knowing(args.model, plan, args.random_weights, pictures=not said, labels=args.labels is None)


def _warn(graph: Graph, model: Path, chain: Chain, engine: Engine) -> None:
    """Cuts by name are taken as they are given; where that costs accuracy it is said."""
    from partway.partitioner.calibrate.quantized_cuts import warning

    if (sentence := warning(graph, model, chain, engine)) is not None:
        log.warning("%s", sentence)


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``partway plan``."""
    slice_arguments(parser)
    calibration_arguments(parser)


def run_plan(args: argparse.Namespace) -> int:
    """Slice, then measure stages and codecs on this machine; everything goes into plan.json."""
    if args.frames < 1:
        raise InputError(f"--frames must be 1 or more, not {args.frames}")
    plan, chain, engine = sliced(args)
    frames = calibration_frames(args, plan)
    plan = calibrated(chain, engine, frames, args.out, real=args.calibrate is not None)
    profile = profile_to_json(measure(chain, frames[0].values, 0.5), engine, plan.digest, plan.model)
    plan = replace(plan, profiles=(profile,))
    save_plan(plan, args.out)
    done(args.out)
    console = Console(highlight=False)
    console.print(_slice_table(plan))
    console.print(codec_table(plan, args.max_drop))
    if args.calibrate is None:
        console.print("no --calibrate: lossy codecs are not admitted until their cost is measured on real inputs")
    return 0


def _slice_table(plan: Plan) -> Table:
    table = Table(title=f"{plan.model}: {len(plan.stages)} stages", title_justify="left")
    for column in ("stage", "file", "size", "operators", "hands on", "bytes a frame"):
        table.add_column(column)
    seconds = plan.profiles[0]["stage_s"] if plan.profiles else ()
    if seconds:
        table.add_column("time here")
    for k, stage in enumerate(plan.stages):
        crossing = show_bytes(sum(spec.size_bytes() for spec in plan.crossing(k + 1)))
        row = [str(k), stage.file, show_bytes(stage.total_bytes), str(stage.operators), str(plan.cuts[k + 1]), crossing]
        table.add_row(*row, *([show_s(seconds[k])] if seconds else []))
    return table


def shapes(given: list[str]) -> dict[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` as value name and sizes. Raises InputError on anything else."""
    found = {}
    for text in given:
        name, _, sizes = text.rpartition("=")
        parts = sizes.split("x")
        if not name or not all(part.isdigit() and int(part) > 0 for part in parts):
            raise InputError(f"--shape {text!r} is not NAME=SIZES, for example --shape image=1x3x224x224")
        found[name] = tuple(int(part) for part in parts)
    return found


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """``0.485,0.456,0.406`` as numbers. Raises InputError on anything else."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text!r} is no list of numbers, for example {option} 0.5,0.5,0.5") from None
