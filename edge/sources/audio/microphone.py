"""``--input mic:N``: a microphone, by sounddevice (``partway[audio]``), which is imported only then."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from partway.edge.sources.audio.resample import Resampler
from partway.edge.sources.audio.wav import sample_of_audio
from partway.edge.sources.audio.waveform import Waveform, sample_rate, tell, waveform_of
from partway.edge.sources.cameras.reopening import Read, Unreachable, reopening
from partway.edge.sources.files import Item
from partway.edge.sources.shipped import MICROPHONE
from partway.errors import InputError, MissingPackage
from partway.partitioner.plan.plan import Plan
from partway.units import whole_number

Array = np.ndarray[Any, Any]
GUESSED_HZ = 16_000
"""The rate of most models of speech; used, and called a guess, where neither model nor option states one."""


class MicrophoneFeed:
    """An open microphone, one channel of it, at the model's rate or resampled to it."""

    def __init__(self, text: str, waveform: Waveform, rate_hz: int) -> None:
        self._text, self._waveform = text, waveform
        self._module, self._stream, own_hz = _open_stream(text, rate_hz)
        self._resampler = None if own_hz == rate_hz else Resampler(own_hz, rate_hz)
        self._block = max(1, waveform.hop * own_hz // rate_hz)
        self._frames = waveform.frames(self._blocks(), text)

    def next(self) -> Read:
        """See Feed."""
        return partial(sample_of_audio, samples=next(self._frames), waveform=self._waveform, live=True)

    def _blocks(self) -> Iterator[Array]:
        while True:
            try:
                block, lost = self._stream.read(self._block)
            except self._module.PortAudioError as error:
                raise InputError(_reason(error)) from error
            if lost:
                tell(f"{self._text}: samples are lost, because frames are answered too slowly")
            samples = np.asarray(block, np.float32).reshape(-1)
            yield samples if self._resampler is None else self._resampler.feed(samples)

    def close(self) -> None:
        """See Feed."""
        self._stream.close()


def _open_stream(text: str, rate_hz: int) -> tuple[Any, Any, int]:
    """sounddevice, an input stream that is running, and its rate: ``rate_hz``, or the device's own."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingPackage(f"{text} needs sounddevice: pip install 'partway[audio]'") from error
    except OSError as error:
        raise MissingPackage(f"{text} needs PortAudio ({error}): apt-get install libportaudio2") from error
    device = _device(text)
    try:
        try:
            stream = sounddevice.InputStream(rate_hz, device=device, channels=1, dtype="float32")
        except sounddevice.PortAudioError:  # many devices have one rate only
            own_hz = round(sounddevice.query_devices(device, "input")["default_samplerate"])
            stream = sounddevice.InputStream(own_hz, device=device, channels=1, dtype="float32")
            if own_hz != rate_hz:
                tell(f"{text}: resampled from {own_hz} to {rate_hz} Hz")
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise Unreachable(
            f"microphone {text} cannot be opened ({_reason(error)}); `python3 -m sounddevice` lists the devices"
        ) from error
    return sounddevice, stream, round(stream.samplerate)


def _device(text: str) -> int | str | None:
    """The device's number, a part of its name, or None for the default one."""
    name = text.removeprefix(MICROPHONE)
    number = whole_number(name)
    return number if number is not None else name or None


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def open_microphone(
    text: str, plan: Plan, hop: tuple[int, int] | None = None, rate_hz: int | None = None, patient: bool = False
) -> Iterator[Item]:
    """The frames of a microphone. Raises InputError at once if it cannot be opened."""
    waveform = waveform_of(plan, text, hop)
    rate = sample_rate(plan, rate_hz, text, GUESSED_HZ)
    return reopening(text, lambda: MicrophoneFeed(text, waveform, rate), patient)
