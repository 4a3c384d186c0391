"""All inputs of a run one after another: files that are counted beforehand, videos, a camera, standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat
from operator import length_hint

from partway.edge.sources.files import Item
from partway.edge.sources.registry import source_of
from partway.edge.sources.source import Source
from partway.edge.sources.stdin import STDIN, open_stdin
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
    sources = [source_of(given) for given in inputs]
    endless = [given for given, source in zip(inputs, sources, strict=True) if source.endless]
    if endless and inputs[-1] != endless[0]:
        raise InputError(f"{endless[0]} never ends: give it last, and nothing else without end")
    if inputs.count(STDIN) > 1:
        raise InputError("standard input can be read once; give --input - once")
    if stdin_shape is not None and STDIN not in inputs:
        raise InputError("--stdin-shape says what comes from standard input; give --input - with it")
    intakes = [_intake(given, source, plan, stdin_shape) for given, source in zip(inputs, sources, strict=True)]
    counts = [intake.count for intake in intakes]
    total = None if None in counts else sum(count for count in counts if count is not None)
    return Intake(
        lambda: chain.from_iterable(intake.items() for intake in intakes),
        total,
        all(intake.again for intake in intakes),
        any(intake.waits for intake in intakes),
    )


def _intake(given: str, source: Source, plan: Plan, stdin_shape: tuple[int, ...] | None) -> Intake:
    """One input, opened: the first round is the one that was checked, a later one is opened again."""
    opener = partial(open_stdin, shape=stdin_shape) if given == STDIN else source.open
    first, live = opener(given, plan), source.endless or source.live
    if (count := length_hint(first, -1)) >= 0:
        items = list(first)
        return Intake(lambda: iter(items), count, not live, live)
    rounds = chain([first], (opener(given, plan) for _ in repeat(None)))
    return Intake(lambda: next(rounds), None, not live, live)
