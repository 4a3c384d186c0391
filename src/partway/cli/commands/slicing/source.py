"""Shared parts of ``partway cuts``, ``slice``, ``plan`` and ``quantize``: the model, its cuts, its description."""

from __future__ import annotations

import argparse
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.sample_inputs import picture_of, real_samples
from partway.errors import InputError
from partway.units import whole_number

if TYPE_CHECKING:
    from partway.engines.interface import Engine
    from partway.partitioner.graph.graph import Graph
    from partway.partitioner.plan.chain import Chain
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

log = logging.getLogger("partway.partitioner")


def model_arguments(parser: Parser) -> None:
    """Arguments for the model and its export."""
    parser.add_named("model", help="an .onnx, .tflite or .pt2 file, a PyTorch module:factory, or a name of the zoo")
    add = parser.add_argument
    add(
        "--example-input",
        action="append",
        default=[],
        metavar="SHAPE|FILE",
        help="for module:factory: 1x3x224x224, 1x16:int64, an .npy or .npz file; once for each argument",
    )
    add("--weights", type=Path, metavar="FILE", help="for module:factory: a state dict (.pt, .safetensors)")
    add("--random-weights", action="store_true", help="for a name of the zoo: random weights")
    add("--shape", action="append", default=[], metavar="NAME=1x3x224x224", help="sizes of an input with dynamic axes")


def slice_arguments(parser: Parser) -> None:
    """Arguments for the cuts, the output folder, and the meaning of the model's input and output."""
    from partway.partitioner.plan.preprocess import FITS

    model_arguments(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="where the plan and the stage files go")
    add("--cuts", default="auto", metavar="auto|none|NAMES", help="value names, comma between cuts, + within one")
    add("--name", metavar="NAME", help="the model's name (default: the file's)")
    add("--mean", metavar="M[,M,M]", help="subtracted from pixels after scaling, for example 0.485,0.456,0.406")
    add("--std", metavar="S[,S,S]", help="divides them after that, for example 0.229,0.224,0.225")
    add("--scale", type=float, metavar="X", help="multiplies pixels 0..255 first (default: 1/255 for floats)")
    add("--fit", choices=FITS, help="how a picture gets the model's size (default: stretch)")
    add("--labels", type=Path, metavar="FILE", help="class names, one a line")


def model_source(args: argparse.Namespace) -> AbstractContextManager[Path]:
    """The model's file while the context is open; an exported one is temporary."""
    from partway.partitioner.resolve import model_file

    return model_file(args.model, args.example_input, args.weights, random=args.random_weights)


def sliced(args: argparse.Namespace) -> tuple[Plan, Chain, Engine]:
    """Slice a model by the arguments. Returns the plan with its input and output described, and the loaded chain."""
    from partway.engines.registry import engine_for
    from partway.partitioner.formats.model_metadata import Wishes, described, read_labels
    from partway.partitioner.plan.chain import Chain, load_folder
    from partway.partitioner.slicing import cuts_for, open_model, plan_model

    wishes = Wishes(
        numbers(args.mean, "--mean"), numbers(args.std, "--std"), args.scale, args.fit, read_labels(args.labels)
    )
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{args.out} cannot be made ({error.strerror}); give another --out") from error
    with model_source(args) as path:
        source = open_model(path, shapes(args.shape))
        picture = picture_of(source, args.model, wishes)
        samples = real_samples(source, picture, getattr(args, "calibrate", None))
        chosen = cuts_for(source, args.cuts, preprocess=picture, samples=samples)
        plan = plan_model(source, chosen, args.out, args.name or path.stem)
        engine = engine_for(plan.engine)
        chain = load_folder(args.out, plan, engine)
        if args.cuts != "auto":
            _warn(source.graph, path, chain, engine)
    plan = _zoo_described(args, described(plan, chain, wishes))
    return plan, Chain(plan, chain.stages), engine


def _zoo_described(args: argparse.Namespace, plan: Plan) -> Plan:
    """The plan of a zoo model, with the catalogue's pictures and classes unless options set them."""
    from partway.partitioner.resolve import is_zoo_name

    if not is_zoo_name(args.model):
        return plan
    from partway.partitioner.zoo.export import with_zoo_metadata

    described = any(wish is not None for wish in (args.mean, args.std, args.scale, args.fit))
    return with_zoo_metadata(args.model, plan, args.random_weights, pictures=not described, labels=args.labels is None)


def _warn(graph: Graph, model: Path, chain: Chain, engine: Engine) -> None:
    """Warn if cuts by name cost accuracy; they are used all the same."""
    from partway.partitioner.calibrate.quantized_cuts import warning

    if (sentence := warning(graph, model, chain, engine)) is not None:
        log.warning("%s", sentence)


def shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` as value name and sizes. Raises InputError on anything else."""
    found = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        shape = tuple(whole_number(part) or 0 for part in sizes.split("x"))
        if not name or 0 in shape:
            raise InputError(f"--shape {text!r} is not NAME=SIZES, for example --shape image=1x3x224x224")
        found[name] = shape
    return found


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """``0.485,0.456,0.406`` as numbers. Raises InputError on anything else."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text!r} is not a list of numbers, for example {option} 0.5,0.5,0.5") from None
