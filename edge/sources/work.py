"""The frames that a run answers: those of the input, of the model's samples, or made up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from partway.edge.options import Options
from partway.edge.report.terminal import Report
from partway.edge.sources.files import PICTURES, Item, Sample, random_source
from partway.edge.sources.open_inputs import open_intake
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.zoo import bundled_models, model_folder, sample_folder

RANDOM_FRAMES = 10


@dataclass(frozen=True, slots=True)
class Work:
    """The frames to answer: the first one, the rest, and how many they are (None: the input's end tells).

    ``read_s`` is what reading the first one took.
    ``waits``: the next one may be long in coming, and answers should not wait for it.
    """

    first: Item
    rest: Iterator[Item]
    total: int | None
    read_s: float = 0.0
    waits: bool = False


def work_of(options: Options, plan: Plan, folder: Path | None, report: Report) -> Work:
    """The frames asked for: the input given, else the samples that come with the model, else random ones.

    Raises InputError when there is none.
    """
    samples = (sample_folder(folder) if folder else None) or _bundled_samples(plan)
    inputs = options.inputs or ([str(samples)] if samples else [])
    if not inputs:
        report.say("no --input given: random input")
        total = options.frames or RANDOM_FRAMES
        return _work(random_source(plan, total), total)
    intake = open_intake(inputs, plan, options.stdin_shape)
    return replace(_work(intake.take(options.frames), intake.total(options.frames)), waits=intake.waits)


def read_ahead(work: Work, plan: Plan) -> tuple[Sample, Work]:
    """The first sample, for measuring, and the work with it read; a random one when it cannot be (its turn tells)."""
    if work.first.late:
        return next(random_source(plan, 1)).read(), work
    _import_readers(work.first, plan)
    begun_s = perf_counter()
    try:
        sample = work.first.read()
    except InputError:
        return next(random_source(plan, 1)).read(), work
    return sample, replace(work, first=Item(work.first.name, lambda: sample), read_s=perf_counter() - begun_s)


def _import_readers(item: Item, plan: Plan) -> None:
    """Import what pictures are read with, so that it does not count as what reading the first one took."""
    preprocess = Preprocess.from_json(plan.input)
    if preprocess is not None and Path(item.name).suffix.lower() in PICTURES:
        from PIL import Image

        Image.preinit()
        preprocess.pixels(Image.new("RGB", (2, 2)))


def _work(items: Iterator[Item], total: int | None) -> Work:
    first = next(items, None)
    if first is None:
        raise InputError("there is nothing in the input to infer on; give another with --input")
    return Work(first, items, total)


def _bundled_samples(plan: Plan) -> Path | None:
    """The samples of the shipped model that this plan is of."""
    if plan.model not in bundled_models():
        return None
    folder = model_folder(plan.model)
    return sample_folder(folder) if load_plan(folder).digest == plan.digest else None
