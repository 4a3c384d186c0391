"""Shared parts of ``partway cuts``, ``slice``, ``plan`` and ``quantize``: the model, its cuts, its description."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from partway.cli.commands.slicing.examples import read_examples
from partway.cli.commands.slicing.sample_inputs import picture_of, real_samples
from partway.units import encodable

if TYPE_CHECKING:
    from partway.engines.interface import Engine
    from partway.partitioner.calibrate.accuracy import CalibrationFrame
    from partway.partitioner.graph.graph import Graph
    from partway.partitioner.plan.chain import Chain
    from partway.partitioner.plan.model_file.model_format import Facts, Given, SliceableModel
    from partway.partitioner.plan.model_file.wishes import Wishes
    from partway.partitioner.plan.new_folder import NewFolder
    from partway.partitioner.plan.plan import Plan
    from partway.system.arguments import Parser

log = logging.getLogger("partway.partitioner")


MODEL = "an .onnx, .tflite or .pt2 file, a PyTorch module:factory, or a name that `partway models` lists"


def model_arguments(parser: Parser, model: str = MODEL) -> None:
    """Arguments for the model and its export; ``model`` says what it may be."""
    from partway.partitioner.plan.model_file.wishes import MODEL_OPTIONS
    from partway.system.option_table import add_options

    parser.add_named("model", help=model)
    add = parser.add_argument
    add(
        "--example-input",
        action="append",
        default=[],
        metavar="SHAPE|FILE",
        help="for module:factory: 1x3x224x224, 1x16:int64, an .npy or .npz file; once for each argument",
    )
    add("--weights", type=Path, metavar="FILE", help="for module:factory: a state dict (.pt, .safetensors)")
    add("--random-weights", action="store_true", help="for a model by name: random weights")
    add_options(parser, [row for row in MODEL_OPTIONS if row.name == "shape"])
    add("--example", action="append", default=[], metavar="NAME=VALUE|FILE.npy", help="a legal value of an input")


def slice_arguments(parser: Parser, model: str = MODEL) -> None:
    """Arguments for the cuts, the output folder, and the meaning of the model's input and output."""
    from partway.partitioner.plan.model_file.wishes import MODEL_OPTIONS
    from partway.system.option_table import add_options

    model_arguments(parser, model)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="where the plan and the stage files go")
    add("--force", action="store_true", help="replace a plan in --out even if its measurements are lost")
    add("--cuts", default="auto", metavar="auto|none|NAMES", help="value names, comma between cuts, + within one")
    add("--name", metavar="NAME", help="the model's name (default: the file's)")
    add(
        "--state",
        action="append",
        default=[],
        metavar="OUT=IN|none",
        help="an output that is an input of the next frame (default: found by names and shapes)",
    )
    add_options(parser, [row for row in MODEL_OPTIONS if row.name != "shape"])


def model_source(args: argparse.Namespace) -> AbstractContextManager[Path]:
    """The model's file while the context is open; an exported one is temporary."""
    from partway.partitioner.resolve import model_file

    return model_file(args.model, args.example_input, args.weights, random=args.random_weights)


def plan_folder(args: argparse.Namespace) -> AbstractContextManager[NewFolder]:
    """``--out`` while a plan is written there: all of it or nothing."""
    from partway.partitioner.plan.new_folder import new_folder

    return new_folder(args.out, args.force, Path(args.model))


def sliced(args: argparse.Namespace, folder: Path) -> tuple[Plan, Chain, Engine]:
    """Slice a model by the arguments, into ``folder``.

    Returns the plan with its input and output described, the loaded chain and its engine.
    """
    from partway.engines.registry import engine_for
    from partway.partitioner.formats.model_metadata import described
    from partway.partitioner.plan.chain import Chain, load_folder
    from partway.partitioner.plan.model_file.model_format import Given
    from partway.partitioner.plan.model_file.wishes import wishes_of
    from partway.partitioner.slicing import cuts_for, open_model, plan_model

    wishes = wishes_of(vars(args))
    with model_source(args) as path:
        examples = read_examples(args.example)
        source = open_model(path, Given(wishes.sizes, examples))
        picture = picture_of(source, args.model, wishes)
        samples = real_samples(source, picture, getattr(args, "calibrate", None))
        cuts = cuts_for(source, args.cuts, preprocess=picture, samples=samples, examples=examples)
        plan = plan_model(source, cuts, folder, encodable(args.name or path.stem), examples, args.state)
        engine = engine_for(plan.engine)
        chain = load_folder(folder, plan, engine)
        if args.cuts != "auto":
            _warn(source.graph, path, chain, engine)
    plan = _zoo_described(args, described(plan, chain, wishes, _facts(args, source)), wishes)
    return plan, Chain(plan, chain.stages), engine


def given_inputs(args: argparse.Namespace) -> Given:
    """The sizes of ``--shape`` and the values of ``--example``. Raises InputError."""
    from partway.partitioner.plan.model_file.model_format import Given
    from partway.partitioner.plan.model_file.wishes import shapes

    return Given(dict(shapes(args.shape)), read_examples(args.example))


def _facts(args: argparse.Namespace, source: SliceableModel) -> Facts:
    """What the zoo says of a model by name, else what the file says."""
    from partway.partitioner.resolve import is_zoo_name

    if not is_zoo_name(args.model):
        return source.facts
    from partway.partitioner.zoo.export import zoo_facts

    return zoo_facts(args.model)


def _zoo_described(args: argparse.Namespace, plan: Plan, wishes: Wishes) -> Plan:
    """The plan of a zoo model, with the catalogue's pictures and classes unless options set them."""
    from partway.partitioner.resolve import is_zoo_name

    if not is_zoo_name(args.model):
        return plan
    from partway.partitioner.zoo.export import with_zoo_metadata

    described = any(getattr(wishes, name) is not None for name in ("mean", "std", "scale", "fit", "channels"))
    return with_zoo_metadata(args.model, plan, args.random_weights, pictures=not described, labels=not wishes.labels)


def warn_of_doubt(chain: Chain, frames: Sequence[CalibrationFrame]) -> None:
    """Warn if the model is unsure of every real picture; it is used all the same."""
    from partway.partitioner.calibrate.doubt import doubt

    if sentence := doubt(chain, frames):
        log.warning("%s", sentence)


def _warn(graph: Graph, model: Path, chain: Chain, engine: Engine) -> None:
    """Warn if cuts by name cost accuracy; they are used all the same."""
    from partway.partitioner.calibrate.quantized_cuts import warning

    if (sentence := warning(graph, model, chain, engine)) is not None:
        log.warning("%s", sentence)
