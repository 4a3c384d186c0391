"""The frames that a run answers: those of its inputs one after another, else the model's samples, else random ones.

Inputs are files that are counted beforehand, videos, a camera, a watched folder and standard input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from partway.edge.sources.files import PICTURES, Item, Sample, open_source, picture_reader, random_source
from partway.edge.sources.stdin import STDIN, stdin_items
from partway.edge.sources.video import check_video, is_camera, is_video, video_items
from partway.edge.sources.watch import is_watch, watch_items, watched_folder
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, load_plan
from partway.partitioner.zoo import bundled_models, model_folder, sample_folder

RANDOM_FRAMES = 10


@dataclass(frozen=True, slots=True)
class Work:
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


def work_of(
    inputs: Sequence[str],
    plan: Plan,
    folder: Path | None,
    frames: int | None = None,
    stdin_shape: tuple[int, ...] | None = None,
) -> Work:
    """The frames asked for: the inputs given, else the samples that come with the model, else random ones.

    ``frames`` is how many, going round; None for each once. Raises InputError when there is none.
    """
    samples = (sample_folder(folder) if folder else None) or _bundled_samples(plan)
    inputs = inputs or ([str(samples)] if samples else [])
    if not inputs:
        total = frames or RANDOM_FRAMES
        return replace(_work(random_source(plan, total), total), random=True)
    intake = open_intake(inputs, plan, stdin_shape)
    return replace(_work(intake.take(frames), intake.total(frames)), waits=intake.waits)


def read_ahead(work: Work, plan: Plan) -> tuple[Sample, Work]:
    """The first sample, for measuring, and the work with it read; a random one when it cannot be (its turn tells)."""
    if work.first.late:
        return next(random_source(plan, 1)).read(), work
    _import_readers(work.first)
    begun_s = perf_counter()
    try:
        sample = work.first.read()
    except InputError:
        return next(random_source(plan, 1)).read(), work
    return sample, replace(work, first=Item(work.first.name, lambda: sample), read_s=perf_counter() - begun_s)


def _import_readers(item: Item) -> None:
    """Import what pictures are read with, so that it does not count as what reading the first one took."""
    if Path(item.name).suffix.lower() in PICTURES:
        from PIL import Image

        Image.preinit()


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


@dataclass(frozen=True, slots=True)
class Intake:
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


def open_intake(inputs: Sequence[str], plan: Plan, stdin_shape: tuple[int, ...] | None = None) -> Intake:
    """What ``--input`` names, in order. Raises InputError at once for what does not exist or cannot be opened."""
    endless = [given for given in inputs if is_camera(given) or is_watch(given)]
    if endless and inputs[-1] != endless[0]:
        raise InputError(f"{endless[0]} never ends: give it last, and nothing else without end")
    if inputs.count(STDIN) > 1:
        raise InputError("standard input can be read once; give --input - once")
    if stdin_shape is not None and STDIN not in inputs:
        raise InputError("--stdin-shape says what comes from standard input; give --input - with it")
    intakes = [_intake(given, plan, stdin_shape) for given in inputs]
    counts = [intake.count for intake in intakes]
    total = None if None in counts else sum(count for count in counts if count is not None)
    return Intake(
        lambda: chain.from_iterable(intake.items() for intake in intakes),
        total,
        all(intake.again for intake in intakes),
        any(intake.waits for intake in intakes),
    )


def _own_stdin() -> BinaryIO:
    """A reader of our own: Python's is closed at the end, and would abort where a thread still waits in it."""
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, AttributeError):  # a replaced standard input, which has none
        return sys.stdin.buffer


def _intake(given: str, plan: Plan, stdin_shape: tuple[int, ...] | None) -> Intake:
    if given == STDIN:
        return Intake(partial(stdin_items, _own_stdin(), plan, stdin_shape), None, False, True)
    if is_watch(given):
        watched_folder(given)
        return Intake(partial(watch_items, given, plan, picture_reader(plan)), None, False, True)
    if is_camera(given) or is_video(given):
        check_video(given, plan)
        return Intake(partial(video_items, given, plan), None, not is_camera(given), is_camera(given))
    items = open_source([given], plan)
    return Intake(lambda: iter(items), len(items), True)
