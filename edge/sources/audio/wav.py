"""``--input clip.wav``: the frames of a recording, for models that take waveforms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.sources.audio.resample import Resampler
from partway.edge.sources.audio.riff import WavFormat, read_format, read_samples
from partway.edge.sources.audio.waveform import Waveform, sample_rate, tell, waveform_of
from partway.edge.sources.files import Item, Sample, timed
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan

Array = np.ndarray[Any, Any]


def open_wav(text: str, plan: Plan, hop: tuple[int, int] | None = None, rate_hz: int | None = None) -> Iterator[Item]:
    """The frames of a WAV file, mixed down to one channel and at the model's rate; both are told.

    Raises InputError at once if the file or the model is of another kind.
    """
    path = Path(text)
    waveform, form = waveform_of(plan, path.name, hop), read_format(path)
    rate = sample_rate(plan, rate_hz, path.name, form.rate_hz)
    if form.channels > 1:
        tell(f"{path.name}: {form.channels} channels are mixed down to one")
    if rate != form.rate_hz:
        tell(f"{path.name}: resampled from {form.rate_hz} to {rate} Hz")
    return _items(path, form, waveform, rate)


def _items(path: Path, form: WavFormat, waveform: Waveform, rate_hz: int) -> Iterator[Item]:
    blocks = read_samples(path, form)
    if rate_hz != form.rate_hz:
        blocks = resampled(blocks, Resampler(form.rate_hz, rate_hz))
    count = 0
    for samples in waveform.frames(blocks, path.name):
        name = f"{path.name}[{count}]"
        yield Item(name, partial(sample_of_audio, name, samples, waveform))
        count += 1
    if not count:
        yield Item(path.name, partial(_empty, f"audio {path} holds no sample; give another with --input"))


def resampled(blocks: Iterator[Array], resampler: Resampler) -> Iterator[Array]:
    """The blocks at the resampler's rate."""
    for block in blocks:
        yield resampler.feed(block)
    yield resampler.end()


def sample_of_audio(name: str, samples: Array, waveform: Waveform, live: bool = False) -> Sample:
    """The sample of one frame's float samples."""
    begun_s = perf_counter()
    return timed(begun_s, Sample(name, values=waveform.inputs(samples)), live)


def _empty(sentence: str) -> Sample:
    raise InputError(sentence)
