"""``python -m partway.partitioner.zoo.export NAME``: export a model by name, slice it, keep the plan. Needs torch."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import partway
from partway.engines.registry import engine_for
from partway.errors import InputError, PartwayError, mapped
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.formats.model_metadata import described
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.model_file.model_format import Facts
from partway.partitioner.plan.model_file.wishes import NO_WISHES
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import PLAN_FILE, save_plan
from partway.partitioner.slicing import open_model, plan_model
from partway.partitioner.zoo.cache import plan_name
from partway.partitioner.zoo.catalogue import IMAGE, RANDOM_WEIGHTS, ZOO

Say = Callable[[str], None]


def export_model(name: str, path: Path, random: bool = False, side: int | None = None) -> None:
    """Write the ONNX file of a model of the zoo: input ``image``, free batch. ``side``: another size than its own.

    Raises InputError.
    """
    from partway.partitioner.formats.pytorch.export import write_onnx
    from partway.partitioner.formats.pytorch.package import import_torch
    from partway.partitioner.formats.pytorch.trace import trace
    from partway.partitioner.zoo.networks import network

    model = ZOO[name]
    size = side or model.side
    module = network(name, random)
    write_onnx(trace(module, import_torch().zeros(2, 3, size, size) + 0.5), path, [IMAGE])


def make_plan(name: str, out: Path, random: bool = False, say: Say = lambda _: None) -> Plan:
    """Export, slice into ``out`` and describe; writes plan.json too. Raises InputError."""
    with tempfile.TemporaryDirectory(prefix="partway-") as folder:
        file = Path(folder) / f"{name}.onnx"
        say(f"{name}: {'exporting' if random else 'fetching the weights and exporting'} from PyTorch")
        export_model(name, file, random)
        say(f"{name}: slicing")
        source = open_model(file)
        plan = plan_model(source, useful_cuts(source.graph), out, plan_name(name, random))
    described_plan = with_zoo_metadata(
        name, described(plan, load_folder(out, plan, engine_for(plan.engine)), NO_WISHES, zoo_facts(name)), random
    )
    save_plan(described_plan, out)
    return described_plan


def zoo_facts(name: str) -> Facts:
    """What is known of a zoo model's pictures and task, so that an option replaces only what it says."""
    model, fields = ZOO[name], ("scale", "mean", "std", "order", "fit", "crop_from")
    preprocess = model.preprocess()
    return Facts({field: getattr(preprocess, field) for field in fields}, task="classify" if model.imagenet else "")


def with_zoo_metadata(name: str, plan: Plan, random: bool, *, pictures: bool = True, labels: bool = True) -> Plan:
    """The plan with the zoo's metadata: preprocessing, class names, source of the weights."""
    from partway.partitioner.zoo.networks import labels_of

    weights = RANDOM_WEIGHTS if random else f"torchvision {ZOO[name].weights}"
    plan = replace(plan, weights=weights)
    if pictures:
        plan = replace(plan, input=ZOO[name].preprocess().to_json())
    if labels and plan.output and (classes := labels_of(ZOO[name])):
        plan = replace(plan, output={**plan.output, "labels": classes})
    return plan


def keep_plan(name: str, cache: Path, random: bool, say: Say) -> Path:
    """The plan's folder in ``cache``, created atomically and by one process at a time."""
    target = cache / "zoo" / f"{plan_name(name, random)}-{partway.__version__}"
    with mapped({OSError: InputError}, f"the plan of {name} cannot be kept in {cache}, give another folder by --cache"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / f".{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (target / PLAN_FILE).is_file():
                part = Path(tempfile.mkdtemp(dir=target.parent, prefix=".part-"))
                try:
                    make_plan(name, part, random, say)
                    part.rename(target)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare one model; progress on standard output, a line a step."""
    parser = argparse.ArgumentParser("partway.partitioner.zoo.export", description=__doc__)
    parser.add_argument("name", choices=tuple(ZOO))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--random-weights", action="store_true")
    args = parser.parse_args(argv)
    try:
        keep_plan(args.name, args.cache, args.random_weights, lambda text: print(text, flush=True))  # noqa: T201
    except PartwayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
