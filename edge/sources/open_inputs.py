"""The frames that a run answers: those of its inputs one after another, else the model's samples, else random ones.

Inputs are files that are counted beforehand, videos, a camera, a watched folder and standard input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, repeat
from operator import length_hint
from pathlib import Path
from time import perf_counter

from partway.edge.sources.files import PICTURES, Item, Sample, random_source
from partway.edge.sources.registry import source_of
from partway.edge.sources.source import Source
from partway.edge.sources.stdin import STDIN, open_stdin
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import bundled_models, model_folder, sample_folder

RANDOM_FRAMES = 10


@dataclass(frozen=True, slots=True)
class InputFrames:
    """Frames in order. ``count``: of one round, None where only its end tells. ``again``: there can be another.

    ``waits``: the next frame may be long in coming (camera, standard input).
    """

    items: Callable[[], Iterator[Item]]
    count: int | None
    again: bool
    waits: bool = False

    def take(self, frames: int | None) -> Iterator[Item]:
        """One round, or so many frames, going round as often as it takes and is possible."""
        return self.items() if frames is None else islice(self._rounds(), frames)

    def total(self, frames: int | None) -> int | None:
        """How many frames ``take`` gives, as far as can be said."""
        return self.count if frames is None else frames

    def _rounds(self) -> Iterator[Item]:
        while True:
            empty = True
            for item in self.items():
                empty = False
                yield item
            if empty or not self.again:
                return


def open_inputs(inputs: Sequence[str], plan: Plan, stdin_shape: tuple[int, ...] | None = None) -> InputFrames:
    """What ``--input`` names, in order. Raises InputError at once for what does not exist or cannot be opened."""
    sources = [source_of(given) for given in inputs]
    endless = [given for given, source in zip(inputs, sources, strict=True) if source.endless]
    if endless and inputs[-1] != endless[0]:
        raise InputError(f"{endless[0]} never ends: give it last, and nothing else without end")
    if inputs.count(STDIN) > 1:
        raise InputError("standard input can be read once; give --input - once")
    if stdin_shape is not None and STDIN not in inputs:
        raise InputError("--stdin-shape says what comes from standard input; give --input - with it")
    parts = [_intake(given, source, plan, stdin_shape) for given, source in zip(inputs, sources, strict=True)]
    counts = [part.count for part in parts]
    total = None if None in counts else sum(count for count in counts if count is not None)
    return InputFrames(
        lambda: chain.from_iterable(part.items() for part in parts),
        total,
        all(part.again for part in parts),
        any(part.waits for part in parts),
    )


def _intake(given: str, source: Source, plan: Plan, stdin_shape: tuple[int, ...] | None) -> InputFrames:
    """One input, opened: the first round is the one that was checked, a later one is opened again."""
    opener = partial(open_stdin, shape=stdin_shape) if given == STDIN else source.open
    first, live = opener(given, plan), source.endless or source.live
    if (count := length_hint(first, -1)) >= 0:
        items = list(first)
        return InputFrames(lambda: iter(items), count, not live, live)
    rounds = chain([first], (opener(given, plan) for _ in repeat(None)))
    return InputFrames(lambda: next(rounds), None, not live, live)


@dataclass(frozen=True, slots=True)
class RunInput:
    """The frames to answer: the first one, the rest, and how many they are (None: the input's end tells).

    ``read_s`` is what reading the first one took.
    ``waits``: the next one may be long in coming, and answers should not wait for it. ``random``: they are made up.
    """

    first: Item
    rest: Iterator[Item]
    total: int | None
    read_s: float = 0.0
    waits: bool = False
    random: bool = False

    def items(self) -> Iterator[Item]:
        """All of them, in order; once."""
        return chain([self.first], self.rest)


def open_run_input(
    inputs: Sequence[str],
    plan: Plan,
    folder: Path | None,
    frames: int | None = None,
    stdin_shape: tuple[int, ...] | None = None,
) -> RunInput:
    """The frames asked for: the inputs given, else the samples that come with the model, else random ones.

    ``frames`` is how many, going round; None for each once. Raises InputError when there is none.
    """
    samples = (sample_folder(folder) if folder else None) or _bundled_samples(plan)
    inputs = inputs or ([str(samples)] if samples else [])
    if not inputs:
        total = frames or RANDOM_FRAMES
        return replace(_work(random_source(plan, total), total), random=True)
    part = open_inputs(inputs, plan, stdin_shape)
    return replace(_work(part.take(frames), part.total(frames)), waits=part.waits)


def read_ahead(work: RunInput, plan: Plan) -> tuple[Sample, RunInput]:
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
    if plan.preprocess is not None and Path(item.name).suffix.lower() in PICTURES:
        from PIL import Image

        Image.preinit()
        plan.preprocess.pixels(Image.new("RGB", (2, 2)))


def _work(items: Iterator[Item], total: int | None) -> RunInput:
    first = next(items, None)
    if first is None:
        raise InputError("there is nothing in the input to infer on; give another with --input")
    return RunInput(first, items, total)


def _bundled_samples(plan: Plan) -> Path | None:
    """The samples of the shipped model that this plan is of."""
    if plan.model not in bundled_models():
        return None
    folder = model_folder(plan.model)
    return sample_folder(folder) if load_plan(folder).digest == plan.digest else None
