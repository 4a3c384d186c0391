"""The frames of a run: those of its inputs one after another, or else the model's samples, or else random ones.

Inputs are files, which are counted first, videos, audio, a camera, a watched folder and standard input.
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
from partway.edge.sources.sequences import as_sequence
from partway.edge.sources.shipped import STDIN
from partway.edge.sources.source import Source, SourceSettings
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import bundled_models, model_folder, sample_folder

RANDOM_FRAMES = 10
DEFAULT = SourceSettings()
DESCRIBED = {
    "stdin_shape": ("--stdin-shape", "standard input; give --input -"),
    "hop": ("--hop", "audio; give --input FILE.wav or --input mic:0"),
    "rate_hz": ("--rate", "audio; give --input FILE.wav or --input mic:0"),
}
"""The flags of settings, and the inputs that they describe."""


@dataclass(frozen=True, slots=True)
class InputFrames:
    """Frames in order. ``count``: frames of one round, None if unknown. ``repeatable``: a second round is possible.

    ``live``: the next frame may take long to arrive (camera, standard input).
    """

    items: Callable[[], Iterator[Item]]
    count: int | None
    repeatable: bool
    live: bool = False

    def take(self, frames: int | None) -> Iterator[Item]:
        """One round, or ``frames`` frames, in several rounds if necessary and possible."""
        return self.items() if frames is None else islice(self._rounds(), frames)

    def total(self, frames: int | None) -> int | None:
        """How many frames ``take`` yields; None if unknown."""
        return self.count if frames is None else frames

    def _rounds(self) -> Iterator[Item]:
        while True:
            empty = True
            for item in self.items():
                empty = False
                yield item
            if empty or not self.repeatable:
                return


def open_inputs(inputs: Sequence[str], plan: Plan, settings: SourceSettings = DEFAULT) -> InputFrames:
    """Open the inputs, in order. Raises InputError at once if one does not exist or cannot be opened."""
    sources = [source_of(text) for text in inputs]
    endless = [text for text, source in zip(inputs, sources, strict=True) if source.endless]
    if endless and inputs[-1] != endless[0]:
        raise InputError(f"{endless[0]} never ends: give it last, and nothing else without end")
    if inputs.count(STDIN) > 1:
        raise InputError("standard input can be read once; give --input - once")
    _check_settings(settings, sources)
    parts = [_open_input(text, source, plan, settings) for text, source in zip(inputs, sources, strict=True)]
    counts = [part.count for part in parts]
    total = None if None in counts else sum(count for count in counts if count is not None)
    return InputFrames(
        lambda: chain.from_iterable(as_sequence(part.items(), plan) for part in parts),
        total,
        all(part.repeatable for part in parts),
        any(part.live for part in parts),
    )


def _check_settings(settings: SourceSettings, sources: Sequence[Source]) -> None:
    """Raise InputError for an option that describes an input of a kind that is not given."""
    for name, (flag, what) in DESCRIBED.items():
        if getattr(settings, name) is not None and not any(name in source.takes for source in sources):
            raise InputError(f"{flag} describes {what} as well")


def _open_input(text: str, source: Source, plan: Plan, settings: SourceSettings) -> InputFrames:
    """Open one input. The first round uses this opening; each later round opens it again."""
    opener = partial(source.open, **{name: getattr(settings, name) for name in source.takes})
    first, live = opener(text, plan), source.endless or source.live
    if (count := length_hint(first, -1)) >= 0:
        items = list(first)
        return InputFrames(lambda: iter(items), count, not live, live)
    rounds = chain([first], (opener(text, plan) for _ in repeat(None)))
    return InputFrames(lambda: next(rounds), None, not live, live)


@dataclass(frozen=True, slots=True)
class RunInput:
    """The frames to answer: the first one, the rest, and their number (None if unknown).

    ``read_s``: seconds that reading the first one took. ``random``: the frames are random.
    ``live``: the next frame may take long to arrive, and answers must not wait for it.
    """

    first: Item
    rest: Iterator[Item]
    total: int | None
    read_s: float = 0.0
    live: bool = False
    random: bool = False

    def items(self) -> Iterator[Item]:
        """All frames, in order. It can be iterated once."""
        return chain([self.first], self.rest)


def open_run_input(
    inputs: Sequence[str],
    plan: Plan,
    folder: Path | None,
    frames: int | None = None,
    settings: SourceSettings = DEFAULT,
) -> RunInput:
    """The frames to answer: the given inputs, or else the model's samples, or else random frames.

    ``frames`` limits their number and repeats the input; None takes each once. Raises InputError if there is none.
    """
    samples = (sample_folder(folder) if folder else None) or _bundled_samples(plan)
    inputs = inputs or ([str(samples)] if samples else [])
    if not inputs:
        total = frames or RANDOM_FRAMES
        return replace(_run_input(random_source(plan, total), total), random=True)
    part = open_inputs(inputs, plan, settings)
    return replace(_run_input(part.take(frames), part.total(frames)), live=part.live)


def read_ahead(run_input: RunInput, plan: Plan) -> tuple[Sample, RunInput]:
    """The first sample, for measuring, and the input with it already read; a random sample if it cannot be read."""
    if run_input.first.late:  # it may take long to arrive
        return next(random_source(plan, 1)).read(), run_input
    _import_readers(run_input.first, plan)
    begun_s = perf_counter()
    try:
        sample = run_input.first.read()
    except InputError:
        return next(random_source(plan, 1)).read(), run_input
    return sample, replace(run_input, first=Item(run_input.first.name, lambda: sample), read_s=perf_counter() - begun_s)


def _import_readers(item: Item, plan: Plan) -> None:
    """Import the picture readers, so that ``read_s`` of the first frame does not include the import."""
    if plan.preprocess is not None and Path(item.name).suffix.lower() in PICTURES:
        from PIL import Image

        Image.preinit()
        plan.preprocess.pixels(Image.new("RGB", (2, 2)))


def _run_input(items: Iterator[Item], total: int | None) -> RunInput:
    first = next(items, None)
    if first is None:
        raise InputError("there is nothing in the input to infer on; give another with --input")
    return RunInput(first, items, total)


def _bundled_samples(plan: Plan) -> Path | None:
    """The samples of the shipped model with this plan; None for other models."""
    if plan.model not in bundled_models():
        return None
    folder = model_folder(plan.model)
    return sample_folder(folder) if load_plan(folder).digest == plan.digest else None
