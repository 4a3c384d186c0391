"""All inputs of a run one after another: files that are counted beforehand, videos, a camera, standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from partway.edge.sources.files import Item, open_source, picture_reader
from partway.edge.sources.stdin import STDIN, stdin_items
from partway.edge.sources.video import check_video, is_camera, is_video, video_items
from partway.edge.sources.watch import is_watch, watch_items, watched_folder
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan


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
